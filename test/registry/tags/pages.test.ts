import { describe, it } from 'vitest';

import { MINUTE_MS } from '../../support/clock.ts';
import { overwriteCache } from '../../support/kv.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, openStage, select, type Stage } from '../../support/stage.ts';

/** The names of a page through the cache, which is filled before the call returns. */
async function cachedNames(
  stage: Pick<Stage, 'registry' | 'repository' | 'settleDeferred'>,
  { after = null, limit = 100 }: { after?: string | null; limit?: number } = {},
): Promise<readonly string[]> {
  const page = await stage.registry.lookupCachedActiveRepositoryTags(
    stage.repository,
    after,
    limit,
  );
  await stage.settleDeferred();
  return page.items.map(({ name }) => name);
}

/** A way to ask for the history of each statement that there is for it. */
const HISTORIES = [{}, { specificTagName: 'v1' }, { sinceMs: 0 }].flatMap((options) => [
  options,
  { ...options, activeTagsOnly: true },
]);

describe('a page of tags', () => {
  it('scenario 6 (tags), I16: follows the one before it, and together they have every name once', async ({
    expect,
  }) => {
    const stage = await openStage();
    const { manifest } = await stage.push('latest', await stage.image());
    await execute(
      `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499)
      INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      SELECT ?, char(65 + (i * 7) % 26) || CASE i % 3 WHEN 0 THEN '-' WHEN 1 THEN '_' ELSE 'z' END
        || i, ?, 0, 1 FROM n`,
      stage.repository.id,
      manifest.id,
    );
    const names: string[] = [];
    for (let hasMore = true; hasMore;) {
      const page = await stage.registry.lookupActiveRepositoryTags(
        stage.repository,
        names.at(-1) ?? null,
        11,
      );
      names.push(...page.items.map(({ name }) => name));
      hasMore = page.hasMore;
    }
    const all = (await select('SELECT name FROM tag')).map(({ name }) => String(name));
    expect(names).toHaveLength(501);
    // UTF-16 order is byte order for ASCII.
    expect(names).toEqual(all.toSorted());
    const whole = await stage.registry.listAllActiveRepositoryTags(stage.repository);
    expect(whole.map(({ name }) => name)).toEqual(names);
  });

  it('scenario 64 (tags): knows whether there is more, and starts after a name that need not exist', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    for (const name of ['a', 'B', 'c']) {
      await stage.push(name, await stage.image());
    }
    const page = async (after: string | null, limit: number) => {
      const { items, hasMore } = await registry.lookupActiveRepositoryTags(
        repository,
        after,
        limit,
      );
      return [items.map(({ name }) => name as string), hasMore];
    };
    expect(await page(null, 3)).toEqual([['B', 'a', 'c'], false]);
    expect(await page('', 2)).toEqual([['B', 'a'], true]);
    expect(await page('b', 2)).toEqual([['c'], false]);
    expect(await page('c', 2)).toEqual([[], false]);
    await expect(page(null, 0)).rejects.toThrow(RangeError);
  });

  it('scenario 5 (tags), I17: has no hidden tag, and neither has any other answer', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const { tag, manifest } = await stage.push('v1', await stage.image());
    await execute('UPDATE tag SET hidden = 1 WHERE id = ?', tag.id);
    expect(await stage.names()).toEqual([]);
    expect(await cachedNames({ registry, repository, ...stage })).toEqual([]);
    expect(await registry.getRepoTag(repository, 'v1')).toBeNull();
    expect(await registry.findMatchingTag(repository, ['v1'])).toBeNull();
    expect(await registry.getMostRecentTag(repository)).toBeNull();
    expect(await registry.getMostRecentTagLifetimeStart([repository])).toEqual(new Map());
    expect(await registry.listAllActiveRepositoryTags(repository)).toEqual([]);
    expect(await registry.tagNamesForManifest(manifest, null)).toEqual([]);
    for (const options of HISTORIES) {
      const { items } = await registry.listRepositoryTagHistory(repository, options);
      expect(items, JSON.stringify(options)).toEqual([]);
    }
    expect(await registry.hasExpiredTag(repository, 'v1')).toBe(false);
    expect(await registry.deleteTag(repository, 'v1')).toBeNull();
    expect(await registry.deleteTagsForManifest(manifest)).toMatchObject({
      tags: [],
      hiddenEnded: 1,
    });
    expect(await registry.hasExpiredTag(repository, 'v1')).toBe(false);
  });
});

describe('the generation of tags', () => {
  it('I14: rises with every visible change, and with no hidden one', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image();
    let last = await stage.generation();
    const rises = async (change: () => Promise<unknown>) => {
      await change();
      const risen = (await stage.generation()) - last;
      last += risen;
      return risen;
    };
    const pushByDigest = (parsed: typeof image) =>
      registry.createManifestWithTempTag(repository, parsed, 60);
    const { manifest } = await stage.push('v1', image);
    last = await stage.generation();
    expect(await rises(() => stage.push('v1', image))).toBe(1);
    expect(await rises(async () => stage.push('v2', await stage.image()))).toBe(1);
    expect(await rises(() => registry.deleteTag(repository, 'v2'))).toBe(1);
    expect(await rises(() => registry.deleteTag(repository, 'v2'))).toBe(0);
    expect(await rises(() => registry.deleteTagsForManifest(manifest))).toBe(1);
    expect(await rises(() => registry.deleteTagsForManifest(manifest))).toBe(0);
    expect(await rises(() => pushByDigest(image))).toBe(0);
    expect(await rises(async () => pushByDigest(await stage.image({ subject: image })))).toBe(0);
    expect(await rises(() => registry.deleteTagsForManifest(manifest))).toBe(0);
    expect(await rises(async () => pushByDigest(image))).toBe(0);
    const options = { allowDead: true, requireAvailable: true };
    expect(
      await rises(() => registry.lookupManifestByDigest(repository, image.digest, options)),
    ).toBe(0);
  });
});

describe('a cached page of tags', () => {
  it('scenario 53 (tags), I15: shows what was deleted and pushed at once', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    expect(await cachedNames(stage)).toEqual([]);
    const { manifest } = await stage.push('a', image);
    expect(await cachedNames(stage)).toEqual(['a']);
    await stage.push('b', image);
    await stage.push('c', await stage.image());
    expect(await cachedNames(stage)).toEqual(['a', 'b', 'c']);
    await stage.registry.deleteTag(stage.repository, 'c');
    expect(await cachedNames(stage)).toEqual(['a', 'b']);
    await stage.registry.deleteTagsForManifest(manifest);
    expect(await cachedNames(stage)).toEqual([]);
  });

  it('is read from the cache while nothing changed, each kind of page by itself', async ({
    expect,
  }) => {
    const stage = await openStage();
    await stage.push('a', await stage.image());
    await stage.push('b', await stage.image());
    const pages = [{}, { limit: 1 }, { after: 'a' }, { after: 'b' }];
    const first = [];
    for (const page of pages) {
      first.push(await cachedNames(stage, page));
    }
    expect(first).toEqual([['a', 'b'], ['a'], ['b'], []]);
    // Behind the back of the generation, so that only a cached page can have the old names.
    await execute('UPDATE tag SET is_current = 0, lifetime_end_ms = lifetime_start_ms');
    for (const [at, page] of pages.entries()) {
      expect(await cachedNames(stage, page)).toEqual(first[at]);
    }
    stage.clock.advance(2 * MINUTE_MS);
    expect(await cachedNames(stage)).toEqual([]);
  });

  it('I15: is not served once one of its tags has ended', async ({ expect }) => {
    const stage = await openStage();
    await stage.push('a', await stage.image({ labels: { 'quay.expires-after': '30s' } }));
    await stage.push('b', await stage.image({ labels: { 'quay.expires-after': '60s' } }));
    expect(await cachedNames(stage)).toEqual(['a', 'b']);
    stage.clock.advance(29_999);
    expect(await cachedNames(stage)).toEqual(['a', 'b']);
    stage.clock.advance(1);
    expect(await cachedNames(stage)).toEqual(['b']);
  });

  it('I15: that is read while a tag is pushed is not kept for newer than it is', async ({
    expect,
  }) => {
    const stage = await openStage();
    await stage.push('a', await stage.image());
    const next = await stage.image();
    let calls = 0;
    const reader = openTestRegistry({
      clock: stage.clock,
      gate: async (_call, run) => {
        calls += 1;
        const rows = await run();
        // The version is read and so are the tags; the push comes after either.
        if (calls === 1 || calls === 2) {
          await stage.push(`b${calls}`, next);
        }
        return rows;
      },
    });
    await cachedNames({ ...reader, repository: stage.repository });
    expect(calls).toBe(2);
    expect(await cachedNames(stage)).toEqual(['a', 'b1', 'b2']);
  });

  it('scenario 54 (tags): of a repository that was made anew is not served', async ({ expect }) => {
    const stage = await openStage();
    const { id, namespaceId, name } = stage.repository;
    await stage.push('a', await stage.image());
    expect(await cachedNames(stage)).toEqual(['a']);
    const generation = await stage.generation();
    await execute("UPDATE repository SET name = 'gone', state = 3 WHERE id = ?", id);
    await execute(
      'INSERT INTO repository (namespace_id, name, tags_generation) VALUES (?, ?, ?)',
      namespaceId,
      name,
      generation,
    );
    const found = await stage.registry.lookupRepository(stage.repository.namespaceName, name);
    expect(found?.id).not.toBe(id);
    const repository = found ?? stage.repository;
    expect(await cachedNames({ ...stage, repository })).toEqual([]);
  });

  it('whose entry in the cache is no page is read anew', async ({ expect }) => {
    const stage = await openStage();
    await stage.push('a', await stage.image());
    await cachedNames(stage);
    expect(await overwriteCache('{"items": 7}')).not.toEqual([]);
    expect(await cachedNames(stage)).toEqual(['a']);
  });
});
