import { describe, it } from 'vitest';

import { HOUR_MS, START_MS } from '../../support/clock.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute, openStage, type Stage } from '../../support/stage.ts';

type Options = NonNullable<Parameters<Stage['registry']['listRepositoryTagHistory']>[1]>;

/** A stage, and the names of a page of its history. */
async function aHistory() {
  const stage = await openStage();
  const { registry, repository } = stage;
  const history = (options: Options = {}) => registry.listRepositoryTagHistory(repository, options);
  const names = async (options: Options = {}): Promise<readonly string[]> =>
    (await history(options)).items.map(({ name }) => name);
  const push = async (...pushed: readonly string[]) => {
    for (const name of pushed) {
      await stage.push(name, await stage.image());
    }
  };
  return { ...stage, stage, history, names, push };
}

describe('the history of tags', () => {
  it('scenario 7 (tags): has both generations of a tag that was moved, newest first', async ({
    expect,
  }) => {
    const { stage, clock, history } = await aHistory();
    const { tag: first } = await stage.push('latest', await stage.image());
    clock.advance(1500);
    const { tag: second } = await stage.push('latest', await stage.image());
    const end = { lifetimeEndMs: START_MS + 1500, lifetimeEndTs: START_MS / 1000 + 1 };
    const page = { items: [second, { ...first, ...end }], hasMore: false };
    expect(await history()).toEqual(page);
    expect(await history({ specificTagName: 'latest' })).toEqual(page);
    expect(await history({ specificTagName: 'foobar' })).toEqual({ items: [], hasMore: false });
    expect(await history({ activeTagsOnly: true })).toEqual({ items: [second], hasMore: false });
    expect(await history({ activeTagsOnly: true, specificTagName: 'latest' })).toEqual({
      items: [second],
      hasMore: false,
    });
  });

  it('is ordered by start, then by name, then by age', async ({ expect }) => {
    const { clock, push, history } = await aHistory();
    await push('b', 'a', 'a');
    clock.advance(1);
    await push('d', 'C');
    const { items } = await history();
    expect(items.map(({ name }) => name)).toEqual(['C', 'd', 'a', 'a', 'b']);
    expect(items[2]?.id).toBeGreaterThan(items[3]?.id ?? 0);
    expect(items[2]?.lifetimeEndMs).toBeNull();
    expect(items[3]?.lifetimeEndMs).toBe(START_MS);
  });

  it('lists what was put beyond recovery until it is collected', async ({ expect }) => {
    const { registry, repository, push, names } = await aHistory();
    await push('a');
    await registry.deleteTag(repository, 'a');
    await execute('UPDATE tag SET lifetime_end_ms = lifetime_end_ms - 1209600000');
    expect(await names()).toEqual(['a']);
    expect(await names({ specificTagName: 'a' })).toEqual(['a']);
    expect(await names({ sinceMs: START_MS - 1 })).toEqual(['a']);
    expect(await names({ sinceMs: START_MS })).toEqual([]);
  });

  it("is one repository's, and is read where it is whole", async ({ expect }) => {
    const { stage, repository } = await aHistory();
    const replica = await openLaggingReplica();
    const { tag } = await stage.push('v1', await stage.image());
    const other = await aRepository(stage);
    const { registry } = openTestRegistry({
      bindings: replica.bindings,
      readConsistency: 'replica',
    });
    for (const options of [{}, { sinceMs: 0 }, { activeTagsOnly: true, sinceMs: 0 }]) {
      expect((await registry.listRepositoryTagHistory(repository, options)).items).toEqual([tag]);
      expect((await registry.listRepositoryTagHistory(other, options)).items).toEqual([]);
    }
    expect(replica.reads()).toBe(0);
  });

  it('scenario 54 (tags): of a repository that was made anew is empty', async ({ expect }) => {
    const { registry, repository, push } = await aHistory();
    await push('a');
    await execute("UPDATE repository SET name = 'gone', state = 3 WHERE id = ?", repository.id);
    await execute(
      'INSERT INTO repository (namespace_id, name) VALUES (?, ?)',
      repository.namespaceId,
      repository.name,
    );
    const found = await registry.lookupRepository(repository.namespaceName, repository.name);
    expect(found?.id).not.toBe(repository.id);
    expect(found && (await registry.listRepositoryTagHistory(found)).items).toEqual([]);
    expect(found && (await registry.getMostRecentTag(found))).toBeNull();
  });
});

describe('a filter of the history', () => {
  it('scenario 56 (tags): keeps names that hold a text, or one name', async ({ expect }) => {
    const { push, names } = await aHistory();
    await push('v1.0', 'v2.0', 'prod');
    expect(await names({ filterTagName: 'like:v' })).toEqual(['v1.0', 'v2.0']);
    expect(await names({ filterTagName: 'like:' })).toEqual(['prod', 'v1.0', 'v2.0']);
    expect(await names({ filterTagName: 'eq:prod' })).toEqual(['prod']);
    expect(await names({ filterTagName: 'eq:pro' })).toEqual([]);
    expect(await names({ filterTagName: 'eq:PROD' })).toEqual([]);
    expect(await names({ filterTagName: 'eq:' })).toEqual([]);
  });

  it.for(['random', '', 'v1.0', 'LIKE:v', 'like', ' eq:v', 'ne:v', ':v'])(
    'scenario 56 (tags): is refused as "%s"',
    async (filterTagName, { expect }) => {
      const { history } = await aHistory();
      await expect(history({ filterTagName })).rejects.toMatchObject({
        code: 'InvalidFilter',
        detail: { parameter: 'filterTagName' },
      });
    },
  );

  it('takes the text as it is, but for the case of ASCII letters', async ({ expect }) => {
    const { push, names } = await aHistory();
    await push('v1_0', 'v1-0', 'V10', 'kelvin');
    const like = (text: string) => names({ filterTagName: `like:${text}` });
    expect(await like('V1_')).toEqual(['v1_0']);
    expect(await like('v1')).toEqual(['V10', 'v1-0', 'v1_0']);
    expect(await like('K')).toEqual(['kelvin']);
    // The sign of the unit, whose lower case is the letter, is none of ASCII.
    const none = ['\u{212A}', 'v%', 'v1\\_', '\\', '%', 'vé', 'é', '*', '?', "'", '"', '\0', ':'];
    for (const text of [...none, 'v1\n', 'eq:v1', 'x'.repeat(1000)]) {
      expect(await like(text), JSON.stringify(text)).toEqual([]);
    }
  });

  it('counts together with the others', async ({ expect }) => {
    const { registry, repository, clock, push, names } = await aHistory();
    await push('v1', 'v2', 'prod');
    await registry.deleteTag(repository, 'v1');
    clock.advance(10);
    await push('v2');
    const sinceMs = START_MS;
    const specificTagName = 'v2';
    expect(await names({ filterTagName: 'like:v' })).toEqual(['v2', 'v1', 'v2']);
    expect(await names({ filterTagName: 'like:v', activeTagsOnly: true })).toEqual(['v2']);
    expect(await names({ filterTagName: 'like:v', sinceMs })).toEqual(['v2', 'v2']);
    expect(await names({ filterTagName: 'like:v', specificTagName })).toEqual(['v2', 'v2']);
    expect(await names({ filterTagName: 'like:p', specificTagName })).toEqual([]);
    expect(await names({ filterTagName: 'like:p', specificTagName: 'prod' })).toEqual(['prod']);
    expect(await names({ filterTagName: 'eq:v2', specificTagName })).toEqual(['v2', 'v2']);
    expect(await names({ filterTagName: 'eq:v1', specificTagName })).toEqual([]);
    expect(await names({ filterTagName: 'eq:v2', activeTagsOnly: true, sinceMs })).toEqual(['v2']);
  });
});

describe('sinceMs', () => {
  it('keeps what started or ends after it, strictly', async ({ expect }) => {
    const { stage, clock, history } = await aHistory();
    const labels = { 'quay.expires-after': '1h' };
    const { tag: forever } = await stage.push('forever', await stage.image());
    const { tag: expiring } = await stage.push('expiring', await stage.image({ labels }));
    const { tag: old } = await stage.push('moved', await stage.image());
    clock.advance(100);
    const { tag: next } = await stage.push('moved', await stage.image());
    const since = async (ms: number, options: Options = {}) =>
      (await history({ ...options, sinceMs: START_MS + ms })).items.map(({ id }) => id);
    expect(await since(-1)).toEqual([next.id, expiring.id, forever.id, old.id]);
    expect(await since(0)).toEqual([next.id, expiring.id, old.id]);
    expect(await since(99)).toEqual([next.id, expiring.id, old.id]);
    expect(await since(100)).toEqual([expiring.id]);
    expect(await since(HOUR_MS - 1)).toEqual([expiring.id]);
    expect(await since(HOUR_MS)).toEqual([]);
    for (const activeTagsOnly of [false, true]) {
      const ofMoved = (ms: number) => since(ms, { specificTagName: 'moved', activeTagsOnly });
      const ended = activeTagsOnly ? [] : [old.id];
      expect(await ofMoved(-1)).toEqual([next.id, ...ended]);
      expect(await ofMoved(0)).toEqual([next.id, ...ended]);
      expect(await ofMoved(99)).toEqual([next.id, ...ended]);
      expect(await ofMoved(100)).toEqual([]);
    }
    expect(await since(0, { activeTagsOnly: true })).toEqual([next.id, expiring.id]);
    clock.advance(HOUR_MS);
    expect(await since(0, { activeTagsOnly: true })).toEqual([next.id]);
    expect(await since(HOUR_MS - 1)).toEqual([expiring.id]);
  });

  it('pairs a generation that was moved with the one before it, for a rollback', async ({
    expect,
  }) => {
    const { clock, push, history } = await aHistory();
    await push('a', 'b', 'c');
    clock.advance(1000);
    const sinceMs = clock.nowMs() - 1;
    await push('a', 'b');
    const { items } = await history({ sinceMs });
    const started = items.filter(({ lifetimeStartMs }) => lifetimeStartMs > sinceMs);
    const ended = items.filter(({ lifetimeEndMs }) => lifetimeEndMs !== null);
    expect(started.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(ended.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(ended.map(({ lifetimeEndMs }) => lifetimeEndMs)).toEqual(
      started.map(({ lifetimeStartMs }) => lifetimeStartMs),
    );
  });
});

describe('a page of the history', () => {
  it('has a number, a size, and says whether there is more', async ({ expect }) => {
    const { clock, push, history } = await aHistory();
    for (const name of ['e', 'd', 'c', 'b', 'a']) {
      await push(name);
      clock.advance(1);
    }
    const page = async (options: Options) => {
      const { items, hasMore, cursor } = await history(options);
      expect(cursor !== undefined).toBe(hasMore);
      return [items.map(({ name }) => name).join(''), hasMore];
    };
    expect(await page({ size: 2 })).toEqual(['ab', true]);
    expect(await page({ size: 2, page: 2 })).toEqual(['cd', true]);
    expect(await page({ size: 2, page: 3 })).toEqual(['e', false]);
    expect(await page({ size: 2, page: 4 })).toEqual(['', false]);
    expect(await page({ size: 5 })).toEqual(['abcde', false]);
    expect(await page({ size: 4 })).toEqual(['abcd', true]);
    expect(await page({ page: 2 })).toEqual(['', false]);
  });

  it('has a hundred generations unless asked for another number', async ({ expect }) => {
    const { stage, history } = await aHistory();
    const { manifest } = await stage.push('latest', await stage.image());
    await execute(
      `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
      INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      SELECT ?, 'x' || i, ?, 0, 1 FROM n`,
      stage.repository.id,
      manifest.id,
    );
    expect((await history()).items).toHaveLength(100);
    expect((await history({ page: 2 })).items).toHaveLength(2);
  });

  it.for([{ page: 0 }, { page: 1.5 }, { size: 0 }, { size: -1 }, { size: 2 ** 30, page: 2 ** 30 }])(
    'cannot be %o',
    async (options, { expect }) => {
      const { history } = await aHistory();
      await expect(history(options)).rejects.toThrow(RangeError);
    },
  );

  it('begins after a cursor that a page gave, and at no other', async ({ expect }) => {
    const { push, history } = await aHistory();
    await push('a', 'b.c-d', 'e');
    const first = await history({ size: 2 });
    const { cursor = '' } = first;
    expect((await history({ cursor })).items.map(({ name }) => name)).toEqual(['e']);
    expect(cursor).toMatch(/^[\w.-]+$/);
    const [, start, id] = /^(\d+)-(\d+)-/.exec(cursor) ?? [];
    for (const other of [
      '',
      'next',
      `${cursor} `,
      ` ${cursor}`,
      `${cursor}\n`,
      `${start}-${id}-`,
      `${start}-${id}`,
      `${start}-${id}-.a`,
      `-${start}-${id}-a`,
      `${start}.5-${id}-a`,
      `0x10-${id}-a`,
      `9999999999999999-${id}-a`,
      `${start}-9999999999999999-a`,
      `${start}-${id}-${'a'.repeat(129)}`,
    ]) {
      await expect(history({ cursor: other }), JSON.stringify(other)).rejects.toMatchObject({
        code: 'InvalidFilter',
        detail: { parameter: 'cursor' },
      });
    }
  });
});
