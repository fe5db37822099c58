import { describe, it } from 'vitest';

import type { LabelSource } from '../../src/model/datatypes.ts';
import { DAY_MS, HOUR_MS, SECOND_MS, START_MS } from '../support/clock.ts';
import { markNotified, notifiedTags } from '../support/expiry-marks.ts';
import { findViolations } from '../support/invariants.ts';
import { openStage, select } from '../support/stage.ts';
import { seedTags, tagRows } from '../support/tags.ts';

const EXPIRES = 'quay.expires-after';
const IMMUTABLE = 'quay.immutable';

/** A stage with a manifest that v1 points to. */
async function aTag(settings = {}) {
  const stage = await openStage({ settings });
  const pushed = await stage.image();
  const { tag, manifest } = await stage.push('v1', pushed);
  const { registry, repository } = stage;
  return {
    ...stage,
    tag,
    manifest,
    pushed,
    create: (key: string, value: string, source: LabelSource = 'internal') =>
      registry.createManifestLabel(manifest, key, value, source),
    /** Puts several labels on the manifest at once. */
    createAll: (...labels: readonly (readonly [key: string, value: string])[]) =>
      registry.batchCreateManifestLabels(manifest, (add) => {
        for (const [key, value] of labels) {
          add(key, value, 'internal');
        }
      }),
    /** What the newest row of a name is. */
    traits: async (name = 'v1') => {
      const row = (await stage.generations(name)).at(-1);
      return { immutable: row?.['immutable'] === 1, endMs: row?.['lifetime_end_ms'] };
    },
    keys: async () => (await registry.listManifestLabels(manifest)).map(({ key }) => key),
    isAlive: async (name = 'v1') => (await registry.getRepoTag(repository, name)) !== null,
    earliestEndMs: async () =>
      (
        await select(
          'SELECT earliest_end_ms AS endMs FROM repository_gc WHERE repository_id = ?',
          repository.id,
        )
      )[0]?.['endMs'],
  };
}

describe('the label quay.expires-after', () => {
  it.for([['api'], ['internal'], ['manifest']] as const)(
    'scenario 10 (blobs): ends a tag that long after its start, from source %s',
    async ([source], { expect }) => {
      const { create, traits, ...stage } = await aTag();
      const before = await stage.generation();
      stage.clock.advance(HOUR_MS);
      expect(await create(EXPIRES, '2h', source)).toMatchObject({ value: '2h' });
      expect(await traits()).toEqual({ immutable: false, endMs: START_MS + 7_200_000 });
      expect(await stage.generation()).toBe(before + 1);
      expect(await stage.earliestEndMs()).toBe(START_MS + 7_200_000);
      expect(await findViolations()).toEqual([]);
    },
  );

  it.for(['1g', 'something', '2H', '', '0s', '-1h', '999999999y'])(
    'scenario 11 (blobs): does nothing with %j, and is stored',
    async (value, { expect }) => {
      const { create, keys, ...stage } = await aTag();
      const [rows, before] = [await tagRows(), await stage.generation()];
      expect(await create(EXPIRES, value)).toMatchObject({ value });
      expect(await keys()).toEqual([EXPIRES]);
      expect(await tagRows()).toEqual(rows);
      expect(await stage.generation()).toBe(before);
    },
  );

  it('does nothing where the end would be beyond what a time can be', async ({ expect }) => {
    const { create, traits } = await aTag();
    await create(EXPIRES, '285616y');
    expect((await traits()).endMs).toBeNull();
    await create(EXPIRES, '285000y');
    expect((await traits()).endMs).toBe(START_MS + 285_000 * 365 * DAY_MS);
  });

  it('acts on every alive visible tag by its own start, and on no other row', async ({
    expect,
  }) => {
    const { create, traits, ...stage } = await aTag();
    stage.clock.advance(3 * HOUR_MS);
    await stage.push('v2', stage.pushed);
    await stage.push('elsewhere', await stage.image());
    await seedTags(stage.repository, [
      { name: '$temp-a', startMs: START_MS, endMs: START_MS + DAY_MS, hidden: true },
      { name: 'over', startMs: START_MS, endMs: START_MS + HOUR_MS },
      { name: 'ended', startMs: START_MS, endMs: START_MS + DAY_MS, isCurrent: false },
    ]);
    await create(EXPIRES, '2h');
    expect((await traits('v1')).endMs).toBe(START_MS + 2 * HOUR_MS);
    expect(await stage.isAlive('v1')).toBe(false);
    expect((await traits('v2')).endMs).toBe(START_MS + 5 * HOUR_MS);
    expect(await stage.isAlive('v2')).toBe(true);
    expect((await traits('elsewhere')).endMs).toBeNull();
    expect((await traits('$temp-a')).endMs).toBe(START_MS + DAY_MS);
    expect((await traits('over')).endMs).toBe(START_MS + HOUR_MS);
    expect((await traits('ended')).endMs).toBe(START_MS + DAY_MS);
    expect(await stage.names()).toEqual(['elsewhere', 'v2']);
  });

  it('keeps no bounds, forgets who was told of the old end, and counts for later tags', async ({
    expect,
  }) => {
    const { create, traits, tag, ...stage } = await aTag();
    const { tag: other } = await stage.push('other', await stage.image());
    await markNotified(stage.repository, [tag.id, other.id]);
    await create(EXPIRES, '1s');
    expect((await traits()).endMs).toBe(START_MS + SECOND_MS);
    expect(await notifiedTags()).toEqual([other.id]);
    await create(EXPIRES, '300y');
    expect((await traits()).endMs).toBe(START_MS + 300 * 365 * DAY_MS);
    await stage.registry.retargetTag(stage.repository, 'moved', stage.manifest);
    await stage.push('pushed', stage.pushed);
    expect((await traits('moved')).endMs).toBe(START_MS + 300 * 365 * DAY_MS);
    expect((await traits('pushed')).endMs).toBe(START_MS + 300 * 365 * DAY_MS);
    expect(await findViolations()).toEqual([]);
  });

  it('skips a locked tag, unless it may end or its lock is not enforced', async ({ expect }) => {
    for (const [settings, endMs] of [
      [{}, null],
      [{ immutableTagsCanExpire: true }, START_MS + HOUR_MS],
      [{ immutableTags: false }, START_MS + HOUR_MS],
    ] as const) {
      const { create, traits, tag, registry } = await aTag(settings);
      await registry.changeTagImmutability(tag, true);
      await create(EXPIRES, '1h');
      expect(await traits(), JSON.stringify(settings)).toEqual({ immutable: true, endMs });
    }
  });

  it('is not undone when the label is deleted', async ({ expect }) => {
    const { create, traits, manifest, registry, keys } = await aTag();
    const label = await create(EXPIRES, '2h', 'api');
    await registry.deleteManifestLabel(manifest, label?.uuid ?? '');
    expect(await keys()).toEqual([]);
    expect((await traits()).endMs).toBe(START_MS + 2 * HOUR_MS);
  });
});

describe('the label quay.immutable', () => {
  it.for(['true', 'TRUE', ' true ', ' TRUE ', 'True\n'])(
    'scenario 12 (blobs), scenario 52 (tags): locks for %j, and takes the end away',
    async (value, { expect }) => {
      const { create, traits, tag, registry, ...stage } = await aTag();
      await registry.changeRepositoryTagExpiration(tag, new Date(START_MS + DAY_MS));
      await markNotified(stage.repository, [tag.id]);
      const before = await stage.generation();
      await create(IMMUTABLE, value);
      expect(await traits()).toEqual({ immutable: true, endMs: null });
      expect(await notifiedTags()).toEqual([]);
      expect(await stage.generation()).toBe(before + 1);
      await expect(registry.deleteTag(stage.repository, 'v1')).rejects.toMatchObject({
        code: 'TagImmutable',
      });
      expect(await findViolations()).toEqual([]);
    },
  );

  it.for(['false', '0', 'no', 'yes', '', '1'])(
    'scenario 12 (blobs), scenario 52 (tags): neither locks nor unlocks for %j',
    async (value, { expect }) => {
      const { create, traits, ...stage } = await aTag();
      const before = await stage.generation();
      await create(IMMUTABLE, value);
      expect((await traits()).immutable).toBe(false);
      expect(await stage.generation()).toBe(before);
      await create(IMMUTABLE, 'true');
      await create(IMMUTABLE, value);
      expect((await traits()).immutable).toBe(true);
    },
  );

  it('scenario 12 (blobs), scenario 52 (tags): does nothing where locks are not enforced', async ({
    expect,
  }) => {
    const { create, traits, keys } = await aTag({ immutableTags: false });
    expect(await create(IMMUTABLE, 'true')).toMatchObject({ value: 'true' });
    expect((await traits()).immutable).toBe(false);
    expect(await keys()).toEqual([IMMUTABLE]);
  });

  it('leaves the end where locked tags may have one', async ({ expect }) => {
    const { create, traits } = await aTag({ immutableTagsCanExpire: true });
    await create(EXPIRES, '1d');
    await create(IMMUTABLE, 'true');
    expect(await traits()).toEqual({ immutable: true, endMs: START_MS + DAY_MS });
  });

  it('acts on every alive visible tag of its manifest, and on no other row', async ({ expect }) => {
    const { create, traits, ...stage } = await aTag();
    await stage.push('v2', stage.pushed);
    await stage.push('elsewhere', await stage.image());
    await seedTags(stage.repository, [
      { name: '$temp-a', endMs: START_MS + DAY_MS, hidden: true },
      { name: 'over', endMs: START_MS },
      { name: 'ended', endMs: START_MS + DAY_MS, isCurrent: false },
    ]);
    await create(IMMUTABLE, 'true');
    for (const [name, immutable] of [
      ['v1', true],
      ['v2', true],
      ['elsewhere', false],
      ['$temp-a', false],
      ['over', false],
      ['ended', false],
    ] as const) {
      expect((await traits(name)).immutable, name).toBe(immutable);
    }
  });
});

describe('several acting labels at once', () => {
  it('have the last of a kind act, as if the ones before had not been', async ({ expect }) => {
    const { createAll, traits, keys, ...stage } = await aTag();
    stage.clock.advance(HOUR_MS);
    await createAll([EXPIRES, '1s'], ['other', 'x'], [EXPIRES, '3h'], [EXPIRES, '1g']);
    expect(await keys()).toEqual([EXPIRES, 'other', EXPIRES, EXPIRES]);
    expect(await stage.isAlive()).toBe(true);
    expect((await traits()).endMs).toBe(START_MS + 3 * HOUR_MS);
    await createAll([IMMUTABLE, 'true'], [IMMUTABLE, 'false']);
    expect(await traits()).toEqual({ immutable: true, endMs: null });
  });

  it.for([
    [IMMUTABLE, EXPIRES],
    [EXPIRES, IMMUTABLE],
  ] as const)('%s and %s lock without an end, as at a push', async (order, { expect }) => {
    const values = { [IMMUTABLE]: 'true', [EXPIRES]: '1h' };
    const { createAll, traits, ...stage } = await aTag();
    // Alone the one would end the tag at once.
    stage.clock.advance(2 * HOUR_MS);
    await createAll(...order.map((key) => [key, values[key]] as const));
    expect(await traits()).toEqual({ immutable: true, endMs: null });
    await stage.push('pushed', await stage.image({ labels: values }));
    expect(await traits('pushed')).toEqual({ immutable: true, endMs: null });
  });

  it.for([
    [IMMUTABLE, EXPIRES],
    [EXPIRES, IMMUTABLE],
  ] as const)('%s and %s do both where locked tags may end', async (order, { expect }) => {
    const values = { [IMMUTABLE]: 'true', [EXPIRES]: '1h' };
    const { createAll, traits } = await aTag({ immutableTagsCanExpire: true });
    await createAll(...order.map((key) => [key, values[key]] as const));
    expect(await traits()).toEqual({ immutable: true, endMs: START_MS + HOUR_MS });
  });
});
