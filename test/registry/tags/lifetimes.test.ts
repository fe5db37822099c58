import { describe, it } from 'vitest';

import { HOUR_MS, SECOND_MS, START_MS, TestClock } from '../../support/clock.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage, select } from '../../support/stage.ts';

describe('a tag', () => {
  it('scenario 18 (tags): moves at one moment, which ends the old generation and starts the new', async ({
    expect,
  }) => {
    const stage = await openStage();
    await stage.push('v1', await stage.image());
    stage.clock.advance(10_000);
    const { tag } = await stage.push('v1', await stage.image());
    const rows = await stage.generations('v1');
    expect(rows).toMatchObject([
      { lifetime_start_ms: START_MS, lifetime_end_ms: START_MS + 10_000, is_current: 0 },
      { id: tag.id, lifetime_start_ms: START_MS + 10_000, lifetime_end_ms: null, is_current: 1 },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 9 (tags): has expired generations once it was moved, not before', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    await stage.push('latest', await stage.image());
    await stage.push('other', await stage.image());
    await stage.push('latest', await stage.image());
    expect(await registry.hasExpiredTag(repository, 'latest')).toBe(true);
    expect(await registry.hasExpiredTag(repository, 'other')).toBe(false);
    expect(await registry.hasExpiredTag(repository, 'unknown')).toBe(false);
  });

  it('scenario 10 (tags): is deleted once, and given back with its end', async ({ expect }) => {
    const { registry, repository, clock, ...stage } = await openStage();
    const { tag } = await stage.push('v1', await stage.image());
    clock.advance(1500);
    const deleted = await registry.deleteTag(repository, 'v1');
    expect(deleted).toEqual({
      ...tag,
      lifetimeEndMs: START_MS + 1500,
      lifetimeEndTs: START_MS / 1000 + 1,
    });
    expect(await registry.getRepoTag(repository, 'v1')).toBeNull();
    await expect(registry.getRepoTag(repository, 'v1', { raiseOnError: true })).rejects.toThrow(
      "tag 'v1' not found",
    );
    expect(await registry.deleteTag(repository, 'v1')).toBeNull();
    expect(await registry.deleteTag(repository, 'unknown')).toBeNull();
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 8 (tags): keeps its history when it is deleted', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    for (const name of ['a', 'b', 'a']) {
      await stage.push(name, await stage.image());
    }
    const before = await registry.listRepositoryTagHistory(repository);
    await registry.deleteTag(repository, 'a');
    await registry.deleteTag(repository, 'b');
    const after = await registry.listRepositoryTagHistory(repository);
    expect(after.items.map(({ id }) => id)).toEqual(before.items.map(({ id }) => id));
    expect(after.items.map(({ lifetimeEndMs }) => lifetimeEndMs)).toEqual(
      Array.from({ length: 3 }, () => START_MS),
    );
    expect(await select('SELECT name FROM tag ORDER BY id')).toHaveLength(3);
    expect(await stage.names()).toEqual([]);
    expect(await registry.listAllActiveRepositoryTags(repository)).toEqual([]);
    const active = { activeTagsOnly: true };
    expect((await registry.listRepositoryTagHistory(repository, active)).items).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 63 (tags): that was deleted is gone by digest too, and said to have expired', async ({
    expect,
  }) => {
    const { registry, repository, operations, ...stage } = await openStage();
    const { tag } = await stage.push('v1', await stage.image());
    await registry.deleteTag(repository, 'v1');
    const name = { namespace: repository.namespaceName, repository: repository.name };
    const byTag = await operations.resolveTag(name, tag.name, { withBytes: true });
    expect(byTag).toMatchObject({ tag: null, manifest: null, hasEnded: true });
    const options = { withBytes: true };
    const byDigest = await operations.resolveManifest(name, tag.manifestDigest, options);
    expect(byDigest?.manifest).toBeNull();
    await expect(
      registry.lookupManifestByDigest(repository, tag.manifestDigest, { raiseOnError: true }),
    ).rejects.toThrow('not found');
  });

  it('I21: is over in the very millisecond of its end, for every method alike', async ({
    expect,
  }) => {
    const { registry, repository, operations, clock, ...stage } = await openStage();
    const { tag, manifest } = await stage.push(
      'v1',
      await stage.image({ labels: { 'quay.expires-after': '1h' } }),
    );
    const name = { namespace: repository.namespaceName, repository: repository.name };
    const historyOf = async (options: object) =>
      (await registry.listRepositoryTagHistory(repository, options)).items;
    const sinceMs = START_MS;
    const answers = async () => [
      (await registry.getRepoTag(repository, 'v1')) !== null,
      (await registry.findMatchingTag(repository, ['v1'])) !== null,
      (await registry.getMostRecentTag(repository)) !== null,
      (await registry.getMostRecentTagLifetimeStart([repository])).size === 1,
      (await registry.listAllActiveRepositoryTags(repository)).length === 1,
      (await registry.tagNamesForManifest(manifest, null)).length === 1,
      (await historyOf({ activeTagsOnly: true })).length === 1,
      (await historyOf({ activeTagsOnly: true, specificTagName: 'v1' })).length === 1,
      (await historyOf({ activeTagsOnly: true, sinceMs })).length === 1,
      !(await registry.hasExpiredTag(repository, 'v1')),
      (await stage.names()).length === 1,
      (await registry.lookupCachedActiveRepositoryTags(repository, null, 9)).items.length === 1,
      (await registry.lookupManifestByDigest(repository, manifest.digest)) !== null,
      (await registry.lookupManifestByDigest(repository, manifest.digest, {
        allowHidden: true,
      })) !== null,
      (await operations.resolveTag(name, tag.name, { withBytes: false }))?.tag !== null,
      (await operations.resolveManifest(name, manifest.digest, { withBytes: false }))?.manifest !==
        null,
    ];
    clock.set(START_MS + HOUR_MS - 1);
    expect(new Set(await answers())).toEqual(new Set([true]));
    clock.set(START_MS + HOUR_MS);
    expect(new Set(await answers())).toEqual(new Set([false]));
    expect(await registry.deleteTag(repository, 'v1')).toBeNull();
    expect(await registry.deleteTagsForManifest(manifest)).toMatchObject({ tags: [] });
    // I20: nothing of this was written down, and the sweep changes no answer.
    expect(await stage.generations('v1')).toMatchObject([
      { is_current: 1, lifetime_end_ms: START_MS + HOUR_MS },
    ]);
    const before = await historyOf({});
    await execute('UPDATE tag SET is_current = 0');
    expect(new Set(await answers())).toEqual(new Set([false]));
    expect(await historyOf({})).toEqual(before);
    expect(await historyOf({ sinceMs })).toEqual(before);
  });

  it('I5: that passed its end keeps that end when its name is used again', async ({ expect }) => {
    const stage = await openStage();
    await stage.push('v1', await stage.image({ labels: { 'quay.expires-after': '1h' } }));
    stage.clock.advance(2 * HOUR_MS);
    await stage.push('v1', await stage.image());
    expect(await stage.generations('v1')).toMatchObject([
      { lifetime_end_ms: START_MS + HOUR_MS, is_current: 0 },
      { lifetime_start_ms: START_MS + 2 * HOUR_MS, is_current: 1 },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('ends earlier than it would by itself when it is moved or deleted', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '1h' } });
    await stage.push('v1', image);
    stage.clock.advance(SECOND_MS);
    await stage.push('v1', image);
    stage.clock.advance(SECOND_MS);
    await registry.deleteTag(repository, 'v1');
    const ends = (await stage.generations('v1')).map((row) => row['lifetime_end_ms']);
    expect(ends).toEqual([START_MS + SECOND_MS, START_MS + 2 * SECOND_MS]);
  });
});

class CountingClock extends TestClock {
  reads = 0;

  override nowMs() {
    this.reads += 1;
    return super.nowMs();
  }
}

describe('any operation', () => {
  it('I21: reads the clock once', async ({ expect }) => {
    const clock = new CountingClock();
    const { registry, repository, operations, ...stage } = await openStage({ clock });
    const image = await stage.image();
    const { manifest, tag } = await stage.push('v1', image);
    const name = { namespace: repository.namespaceName, repository: repository.name };
    const { digest } = manifest;
    const cachedPage = () => registry.lookupCachedActiveRepositoryTags(repository, null, 9);
    // Kept before: the cache looks at the clock for itself when it keeps a page.
    await cachedPage();
    await stage.settleDeferred();
    const operationsByName = {
      cachedPage,
      push: () => stage.push('v1', image),
      pushByDigest: () => registry.createManifestWithTempTag(repository, image, 60),
      getRepoTag: () => registry.getRepoTag(repository, 'v1'),
      hasExpiredTag: () => registry.hasExpiredTag(repository, 'v1'),
      findMatchingTag: () => registry.findMatchingTag(repository, ['v1']),
      getMostRecentTag: () => registry.getMostRecentTag(repository),
      mostRecentStart: () => registry.getMostRecentTagLifetimeStart([repository]),
      listAll: () => registry.listAllActiveRepositoryTags(repository),
      history: () => registry.listRepositoryTagHistory(repository),
      tagNamesForManifest: () => registry.tagNamesForManifest(manifest, null),
      page: () => registry.lookupActiveRepositoryTags(repository, null, 9),
      lookup: () => registry.lookupManifestByDigest(repository, digest, { requireAvailable: true }),
      resolveTag: () => operations.resolveTag(name, tag.name, { withBytes: true }),
      resolveManifest: () => operations.resolveManifest(name, digest, { withBytes: true }),
      retargetTag: () => registry.retargetTag(repository, 'v1', manifest),
      expiration: () => registry.changeRepositoryTagExpiration(tag, null),
      expirations: () => registry.setTagsExpirationForManifest(manifest, 60),
      lock: () => registry.changeTagImmutability(tag, true),
      locks: () => operations.setTagsImmutabilityForManifest(manifest, false),
      timeMachine: () => registry.removeTagFromTimemachine(repository, 'v1', manifest),
      deleteTag: () => registry.deleteTag(repository, 'v1'),
      deleteTagsForManifest: () => registry.deleteTagsForManifest(manifest),
    };
    for (const [operation, run] of Object.entries(operationsByName)) {
      clock.reads = 0;
      await run();
      expect([operation, clock.reads]).toEqual([operation, 1]);
    }
  });
});

describe('a clock that goes backwards', () => {
  it('I2, I4: starts a generation no earlier than the one before it started', async ({
    expect,
  }) => {
    const stage = await openStage();
    await stage.push('v1', await stage.image());
    stage.clock.advance(-HOUR_MS);
    const { tag } = await stage.push('v1', await stage.image());
    expect(tag.lifetimeStartMs).toBe(START_MS);
    expect(await stage.generations('v1')).toMatchObject([
      { lifetime_start_ms: START_MS, lifetime_end_ms: START_MS },
      { lifetime_start_ms: START_MS, lifetime_end_ms: null },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('I2: starts a generation no earlier than the one before it was deleted', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    await stage.push('v1', await stage.image());
    stage.clock.advance(HOUR_MS);
    await registry.deleteTag(repository, 'v1');
    stage.clock.advance(-HOUR_MS / 2);
    const labels = { 'quay.expires-after': '1h' };
    const { tag } = await stage.push('v1', await stage.image({ labels }));
    expect(tag.lifetimeStartMs).toBe(START_MS + HOUR_MS);
    expect(tag.lifetimeEndMs).toBe(START_MS + 2 * HOUR_MS);
    expect(await findViolations()).toEqual([]);
  });

  it('I4: ends a generation no earlier than it started', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image();
    const { manifest } = await stage.push('v1', image);
    await stage.push('v2', image);
    stage.clock.advance(-HOUR_MS);
    const deleted = await registry.deleteTag(repository, 'v1');
    expect(deleted?.lifetimeEndMs).toBe(START_MS);
    expect((await registry.deleteTagsForManifest(manifest)).tags).toHaveLength(1);
    expect(await findViolations()).toEqual([]);
  });

  it('I5: does not revive a generation that was ended', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    await stage.push('v1', await stage.image());
    stage.clock.advance(HOUR_MS);
    await registry.deleteTag(repository, 'v1');
    stage.clock.advance(-HOUR_MS);
    expect(await registry.getRepoTag(repository, 'v1')).toBeNull();
    expect(await stage.names()).toEqual([]);
  });
});

describe('a repository marked for deletion', () => {
  it('I11: takes no writes at all', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage({
      settings: { resetChildManifestExpiration: true },
    });
    const image = await stage.image();
    const { manifest } = await stage.push('v1', image);
    await stage.push(`${image.digest.replace(':', '-')}.sig`, await stage.image());
    await execute('UPDATE repository SET state = 3');
    const rows = await select('SELECT * FROM tag');
    const before = await stage.generation();

    expect(await registry.deleteTag(repository, 'v1')).toBeNull();
    expect(await registry.deleteTagsForManifest(manifest)).toMatchObject({
      tags: [],
      hiddenEnded: 0,
    });
    expect(await registry.createManifestAndRetargetTag(repository, image, 'v2')).toBeNull();
    expect(await registry.createManifestWithTempTag(repository, image, 60)).toBeNull();
    await registry.lookupManifestByDigest(repository, image.digest, { requireAvailable: true });

    expect(await select('SELECT * FROM tag')).toEqual(rows);
    expect(await stage.generation()).toBe(before);
  });

  it('scenario 19 (tags): that vanished after its reference was read takes no tag', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image();
    for (const gone of [repository, { ...repository, id: repository.id + 1000 }]) {
      await execute('UPDATE repository SET state = 3');
      await expect(
        registry.createManifestAndRetargetTag(gone, image, 'v1', { raiseOnError: true }),
      ).rejects.toMatchObject({ code: 'RetargetFailed', detail: { reason: 'repository-gone' } });
    }
    expect(await select('SELECT id FROM tag')).toEqual([]);
    expect(await select('SELECT id FROM manifest')).toEqual([]);
  });
});
