import { describe, it } from 'vitest';

import { HOUR_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute, openStage } from '../../support/stage.ts';

const expiring = { labels: { 'quay.expires-after': '1h' } };

describe('findMatchingTag', () => {
  it('scenario 1 (tags): gives an alive tag among the names, or null', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const { tag } = await stage.push('latest', await stage.image());
    expect(await registry.findMatchingTag(repository, ['unknown', 'latest'])).toEqual(tag);
    expect(await registry.findMatchingTag(repository, ['unknown'])).toBeNull();
    expect(await registry.findMatchingTag(repository, ['LATEST', 'latest '])).toBeNull();
  });

  it('gives the first in the order of the names, passing over those that are over', async ({
    expect,
  }) => {
    const { registry, repository, clock, ...stage } = await openStage();
    for (const name of ['a', 'b', 'c', 'd']) {
      await stage.push(name, await stage.image(name === 'd' ? expiring : {}));
    }
    const match = async (...names: readonly string[]) =>
      (await registry.findMatchingTag(repository, names))?.name;
    expect(await match('d', 'c', 'a', 'b')).toBe('d');
    expect(await match('c', 'a', 'b', 'd')).toBe('c');
    await registry.deleteTag(repository, 'c');
    clock.advance(HOUR_MS);
    expect(await match('d', 'c', 'b', 'a')).toBe('b');
    expect(await match(...Array.from({ length: 500 }, (_, at) => `none-${at}`), 'a')).toBe('a');
  });

  it('is asked with a name at least', async ({ expect }) => {
    const { registry, repository } = await openStage();
    await expect(registry.findMatchingTag(repository, [])).rejects.toThrow(RangeError);
  });

  it('looks in its own repository only', async ({ expect }) => {
    const stage = await openStage();
    await stage.push('latest', await stage.image());
    const other = await aRepository(stage);
    expect(await stage.registry.findMatchingTag(other, ['latest'])).toBeNull();
    expect(await stage.registry.getMostRecentTag(other)).toBeNull();
    expect(await stage.registry.listAllActiveRepositoryTags(other)).toEqual([]);
  });
});

describe('getMostRecentTag', () => {
  it('scenario 2 (tags): gives null where there are no tags', async ({ expect }) => {
    const { registry, repository } = await openStage();
    expect(await registry.getMostRecentTag(repository)).toBeNull();
  });

  it('gives what was started last, not what was and is over', async ({ expect }) => {
    const { registry, repository, clock, ...stage } = await openStage();
    const mostRecent = async () => (await registry.getMostRecentTag(repository))?.name;
    await stage.push('z', await stage.image());
    await stage.push('a', await stage.image());
    expect(await mostRecent()).toBe('a');
    clock.advance(1);
    const { tag } = await stage.push('m', await stage.image());
    expect(await registry.getMostRecentTag(repository)).toEqual(tag);
    clock.advance(1);
    await stage.push('z', await stage.image(expiring));
    expect(await mostRecent()).toBe('z');
    clock.advance(HOUR_MS);
    expect(await mostRecent()).toBe('m');
    await registry.deleteTag(repository, 'm');
    expect(await mostRecent()).toBe('a');
  });
});

describe('getMostRecentTagLifetimeStart', () => {
  it('scenario 3 (tags): asks nothing for no repositories', async ({ expect }) => {
    const { registry, meter } = openTestRegistry();
    expect(await registry.getMostRecentTagLifetimeStart([])).toEqual(new Map());
    expect(meter.usage.d1RoundTrips).toBe(0);
  });

  it('scenario 4 (tags): has an entry for a repository with tags, in whole seconds', async ({
    expect,
  }) => {
    const { registry, repository, clock, meter, ...stage } = await openStage();
    const empty = await aRepository(stage);
    clock.advance(1999);
    await stage.push('v1', await stage.image());
    await stage.push('v2', await stage.image());
    const asked = meter.usage.d1RoundTrips;
    const starts = await registry.getMostRecentTagLifetimeStart([empty, repository]);
    expect(meter.usage.d1RoundTrips - asked).toBe(1);
    expect(starts).toEqual(new Map([[repository.id, START_MS / 1000 + 1]]));
    const tag = await registry.getMostRecentTag(repository);
    expect(starts.get(repository.id)).toBe(tag?.lifetimeStartTs);
  });

  it('takes a hundred repositories, and no more', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    await stage.push('v1', await stage.image());
    const many = (count: number) =>
      Array.from({ length: count }, (_, at) => ({ ...repository, id: repository.id + at }));
    expect((await registry.getMostRecentTagLifetimeStart(many(100))).size).toBe(1);
    await expect(registry.getMostRecentTagLifetimeStart(many(101))).rejects.toThrow(RangeError);
  });
});

describe('listAllActiveRepositoryTags', () => {
  it('I16: gives each tag once by name with its manifest, over more than one page', async ({
    expect,
  }) => {
    const { registry, repository, meter, ...stage } = await openStage();
    const { tag, manifest } = await stage.push('latest', await stage.image());
    await execute(
      `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2498)
      INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current)
      SELECT ?, char(65 + (i * 7) % 26) || i, ?, 0, CASE i % 5 WHEN 0 THEN 1 END, 1 FROM n`,
      repository.id,
      manifest.id,
    );
    const asked = meter.usage.d1RoundTrips;
    const tags = await registry.listAllActiveRepositoryTags(repository);
    expect(meter.usage.d1RoundTrips - asked).toBe(3);
    const names = tags.map(({ name }) => name);
    expect(names).toHaveLength(2000);
    expect(names).toEqual(names.toSorted());
    expect(new Set(names).size).toBe(2000);
    expect(tags.at(-1)).toEqual(tag);
  });

  it('gives nothing for a repository without tags', async ({ expect }) => {
    const { registry, repository } = await openStage();
    expect(await registry.listAllActiveRepositoryTags(repository)).toEqual([]);
  });
});

describe('tagNamesForManifest', () => {
  it('scenario 57 (tags): gives exactly the alive visible names', async ({ expect }) => {
    const { registry, repository, clock, ...stage } = await openStage();
    const image = await stage.image(expiring);
    for (const name of ['moved', 'deleted', 'over']) {
      await stage.push(name, image);
    }
    await stage.push('moved', await stage.image());
    await registry.deleteTag(repository, 'deleted');
    clock.advance(HOUR_MS);
    for (const name of ['v1', 'V2', 'a']) {
      await stage.push(name, image);
    }
    const manifest = await registry.lookupManifestByDigest(repository, image.digest);
    const options = { allowDead: true, requireAvailable: true };
    clock.advance(HOUR_MS - 1);
    await registry.lookupManifestByDigest(repository, image.digest, options);
    if (manifest === null) {
      throw new Error('the manifest is gone');
    }
    const names = (limit: number | null) => registry.tagNamesForManifest(manifest, limit);
    expect(await names(1000)).toEqual(['V2', 'a', 'v1']);
    expect(await names(null)).toEqual(['V2', 'a', 'v1']);
    expect(await names(2)).toEqual(['V2', 'a']);
    expect(await names(0)).toEqual([]);
    await expect(names(-1)).rejects.toThrow(RangeError);
    await expect(names(1.5)).rejects.toThrow(RangeError);
    clock.advance(1);
    expect(await names(null)).toEqual([]);
  });

  it('does not tell the names of an index for its children', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const child = await stage.image();
    const { manifest } = await stage.push('child', child);
    const { manifest: index } = await stage.push('index', await anIndex([child]));
    expect(await registry.tagNamesForManifest(manifest, 10)).toEqual(['child']);
    expect(await registry.tagNamesForManifest(index, 10)).toEqual(['index']);
    await registry.deleteTag(repository, 'child');
    expect(await registry.tagNamesForManifest(manifest, 10)).toEqual([]);
  });
});

describe('a replica that lags', () => {
  it('does not hide a tag, nor make a list of tags stale', async ({ expect }) => {
    const stage = await openStage();
    const { repository } = stage;
    const replica = await openLaggingReplica();
    const { registry } = openTestRegistry({
      clock: stage.clock,
      bindings: replica.bindings,
      readConsistency: 'replica',
    });
    const { tag, manifest } = await stage.push('v1', await stage.image());
    expect(await registry.findMatchingTag(repository, ['v1'])).toEqual(tag);
    expect(await registry.getMostRecentTag(repository)).toEqual(tag);
    expect(replica.reads()).toBe(2);
    expect(await registry.listAllActiveRepositoryTags(repository)).toEqual([tag]);
    expect(await registry.tagNamesForManifest(manifest, null)).toEqual(['v1']);
    expect(replica.reads()).toBe(2);
    // What is shown only is what the nearest copy knows.
    expect((await registry.getMostRecentTagLifetimeStart([repository])).size).toBe(0);
    await replica.catchUp();
    expect((await registry.getMostRecentTagLifetimeStart([repository])).size).toBe(1);
  });
});
