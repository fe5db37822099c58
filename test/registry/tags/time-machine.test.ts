import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage, select } from '../../support/stage.ts';

const WINDOW_MS = 14 * DAY_MS;
const ALIVE = { isAlive: true };

/** A stage with an image under latest, a day after its start. */
async function aTag(settings = {}) {
  const stage = await openStage({ settings });
  const { tag, manifest } = await stage.push('latest', await stage.image());
  stage.clock.advance(DAY_MS);
  return {
    ...stage,
    tag,
    manifest,
    remove: (options = {}, target = manifest) =>
      stage.registry.removeTagFromTimemachine(stage.repository, 'latest', target, options),
    horizon: () => stage.clock.nowMs() - WINDOW_MS,
    ends: async () => (await stage.generations('latest')).map((row) => row['lifetime_end_ms']),
  };
}

describe('removeTagFromTimemachine of an alive tag', () => {
  it('scenario 30 (tags), I14: ends it beyond recovery', async ({ expect }) => {
    const { remove, horizon, tag, ...stage } = await aTag();
    const before = await stage.generation();
    expect(await remove(ALIVE)).toBe(true);
    expect(await stage.registry.getRepoTag(stage.repository, 'latest')).toBeNull();
    expect(await stage.generations('latest')).toMatchObject([
      { id: tag.id, is_current: 0, hidden: 0, lifetime_end_ms: horizon() },
    ]);
    expect(await stage.generation()).toBe(before + 1);
    expect(await remove(ALIVE)).toBe(false);
    expect(await remove()).toBe(false);
    expect(await stage.generation()).toBe(before + 1);
    expect(await findViolations({ removed: [tag.id] })).toEqual([]);
  });

  it('scenario 27 (tags), I9: leaves an immutable one, unless that is not enforced', async ({
    expect,
  }) => {
    const { remove, tag, ...stage } = await aTag();
    await stage.registry.changeTagImmutability(tag, true);
    expect(await remove(ALIVE)).toBe(false);
    expect(await stage.names()).toEqual(['latest']);
    expect(await findViolations()).toEqual([]);
    const off = stage.behind((_call, run) => run(), { settings: { immutableTags: false } });
    expect(
      await off.removeTagFromTimemachine(stage.repository, 'latest', tag.manifest, ALIVE),
    ).toBe(true);
    expect(await stage.names()).toEqual([]);
  });

  it('leaves a tag that points to another manifest, and ended generations', async ({ expect }) => {
    const { remove, ends, manifest, ...stage } = await aTag();
    const { manifest: next } = await stage.push('latest', await stage.image());
    expect(await remove(ALIVE)).toBe(false);
    expect(await ends()).toEqual([START_MS + DAY_MS, null]);
    expect(await remove(ALIVE, next)).toBe(true);
    expect((await ends())[0]).toBe(START_MS + DAY_MS);
    expect(
      await stage.registry.lookupManifestByDigest(stage.repository, manifest.digest),
    ).toBeNull();
  });

  it('does not take the signatures of its image along', async ({ expect }) => {
    const { remove, manifest, ...stage } = await aTag();
    const signature = `${manifest.digest.replace(':', '-')}.sig`;
    await stage.push(signature, await stage.image());
    await remove(ALIVE);
    expect(await stage.names()).toEqual([signature]);
  });

  it('I2: frees its name for the next one', async ({ expect }) => {
    const { remove, tag, ...stage } = await aTag();
    await remove(ALIVE);
    const { tag: next } = await stage.push('latest', await stage.image());
    expect(next.lifetimeStartMs).toBe(stage.clock.nowMs());
    expect(await findViolations({ removed: [tag.id] })).toEqual([]);
  });
});

describe('removeTagFromTimemachine of ended generations', () => {
  it('scenario 29 (tags): puts those of the name on the manifest beyond recovery', async ({
    expect,
  }) => {
    const { remove, horizon, ends, manifest, tag, ...stage } = await aTag();
    const { registry, repository, clock } = stage;
    const other = await stage.push('latest', await stage.image());
    clock.advance(HOUR_MS);
    const again = await registry.retargetTag(repository, 'latest', manifest);
    await registry.retargetTag(repository, 'elsewhere', manifest);
    await registry.deleteTag(repository, 'elsewhere');
    await registry.retargetTag(repository, 'latest', other.manifest);
    const before = await stage.generation();
    expect(await remove()).toBe(true);
    expect(await ends()).toEqual([horizon(), START_MS + DAY_MS + HOUR_MS, horizon(), null]);
    expect(await select("SELECT hidden, is_current FROM tag WHERE name = 'latest'")).toEqual([
      { hidden: 0, is_current: 0 },
      { hidden: 0, is_current: 0 },
      { hidden: 0, is_current: 0 },
      { hidden: 0, is_current: 1 },
    ]);
    // The same manifest under another name is still there to be restored.
    expect(await stage.generations('elsewhere')).toMatchObject([
      { lifetime_end_ms: clock.nowMs() },
    ]);
    // The alive tags are what they were.
    expect(await stage.generation()).toBe(before);
    expect(await remove()).toBe(false);
    expect(await findViolations({ removed: [tag.id, again.id] })).toEqual([]);
  });

  it('leaves the alive generation on the manifest', async ({ expect }) => {
    const { remove, horizon, ends, manifest, ...stage } = await aTag();
    expect(await remove()).toBe(false);
    await stage.registry.retargetTag(stage.repository, 'latest', manifest);
    expect(await remove()).toBe(true);
    expect(await ends()).toEqual([horizon(), null]);
    expect(await stage.names()).toEqual(['latest']);
  });

  it('takes one that passed its end, which frees the slot of its name', async ({ expect }) => {
    const stage = await openStage();
    const labels = { 'quay.expires-after': '1h' };
    const { tag, manifest } = await stage.push('latest', await stage.image({ labels }));
    const remove = () =>
      stage.registry.removeTagFromTimemachine(stage.repository, 'latest', manifest);
    stage.clock.set(START_MS + HOUR_MS - 1);
    expect(await remove()).toBe(false);
    // I21: it is over in the very millisecond of its end.
    stage.clock.set(START_MS + HOUR_MS);
    expect(await remove()).toBe(true);
    expect(await stage.generations('latest')).toMatchObject([
      { is_current: 0, lifetime_end_ms: START_MS + HOUR_MS - WINDOW_MS },
    ]);
    expect(await findViolations({ removed: [tag.id] })).toEqual([]);
  });

  it('takes one that was ended by a clock that is ahead', async ({ expect }) => {
    const { remove, ends, horizon, ...stage } = await aTag();
    await stage.registry.deleteTag(stage.repository, 'latest');
    stage.clock.advance(-MINUTE_MS);
    expect(await remove()).toBe(true);
    expect(await ends()).toEqual([horizon()]);
  });

  it('leaves what is beyond recovery already, to the millisecond', async ({ expect }) => {
    const { remove, ends, clock, ...stage } = await aTag();
    await stage.registry.deleteTag(stage.repository, 'latest');
    clock.advance(WINDOW_MS);
    expect(await remove()).toBe(false);
    expect(await ends()).toEqual([START_MS + DAY_MS]);
    clock.advance(-1);
    expect(await remove()).toBe(true);
    expect(await ends()).toEqual([START_MS + DAY_MS - 1]);
  });

  it('scenario 28 (tags), I9: leaves an immutable one, unless that is not enforced', async ({
    expect,
  }) => {
    const { remove, ends, horizon, tag, ...stage } = await aTag();
    await stage.registry.deleteTag(stage.repository, 'latest');
    await execute('UPDATE tag SET immutable = 1');
    expect(await remove()).toBe(false);
    expect(await ends()).toEqual([START_MS + DAY_MS]);
    const off = stage.behind((_call, run) => run(), { settings: { immutableTags: false } });
    expect(await off.removeTagFromTimemachine(stage.repository, 'latest', tag.manifest)).toBe(true);
    expect(await ends()).toEqual([horizon()]);
  });

  it('does nothing where there is no window', async ({ expect }) => {
    const { remove, ends, ...stage } = await aTag();
    await stage.registry.deleteTag(stage.repository, 'latest');
    await execute('UPDATE namespace SET removed_tag_expiration_s = 0');
    expect(await remove()).toBe(false);
    expect(await ends()).toEqual([START_MS + DAY_MS]);
  });
});

describe('removeTagFromTimemachine with sub-manifests', () => {
  /** An index under latest; its child has a timed tag, a pin, a visible tag and an ended one. */
  async function anIndexWithChild() {
    const stage = await openStage();
    const { registry, repository } = stage;
    const child = await stage.image();
    const manifest = await registry.createManifestWithTempTag(repository, child, 3600);
    const index = await anIndex([child]);
    const pushed = await stage.push('latest', index);
    const bystander = await stage.image();
    await registry.createManifestWithTempTag(repository, bystander, 3600);
    for (const [name, endMs, isCurrent] of [
      ['$temp-pin', null, 1],
      ['$temp-ended', START_MS + 1, 0],
      ['$temp-over', START_MS - WINDOW_MS + MINUTE_MS, 0],
    ] as const) {
      await execute(
        `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
          is_current, hidden) VALUES (?, ?, ?, ?, ?, ?, 1)`,
        repository.id,
        name,
        manifest?.id,
        START_MS - WINDOW_MS,
        endMs,
        isCurrent,
      );
    }
    await execute('UPDATE repository_gc SET earliest_end_ms = 0');
    stage.clock.advance(MINUTE_MS);
    return {
      ...stage,
      index: pushed.manifest,
      /** The ends of the child's hidden rows, and of the bystander's. */
      hidden: async () =>
        (
          await select('SELECT lifetime_end_ms AS e, is_current AS c FROM tag WHERE hidden = 1')
        ).map(({ e, c }) => [e, c]),
    };
  }
  const LATER_MS = START_MS + HOUR_MS;
  const HORIZON_MS = START_MS + MINUTE_MS - WINDOW_MS;
  const UNTOUCHED = [
    [LATER_MS, 1],
    [LATER_MS, 1],
    [null, 1],
    [START_MS + 1, 0],
    [HORIZON_MS, 0],
  ];
  const REMOVED = [
    [HORIZON_MS, 0],
    [LATER_MS, 1],
    [null, 1],
    [HORIZON_MS, 0],
    [HORIZON_MS, 0],
  ];

  it.for([['alive'], ['ended']])(
    'scenario 31 (tags): takes the temporary tags of the children of an %s index too',
    async ([state], { expect }) => {
      const { registry, repository, index, ...stage } = await anIndexWithChild();
      const isAlive = state === 'alive';
      const options = { includeSubmanifests: true, isAlive };
      if (!isAlive) {
        // Nothing of the name is ended yet.
        expect(await registry.removeTagFromTimemachine(repository, 'latest', index, options)).toBe(
          false,
        );
        expect(await stage.hidden()).toEqual(UNTOUCHED);
        await registry.deleteTag(repository, 'latest');
      }
      expect(await registry.removeTagFromTimemachine(repository, 'unknown', index, options)).toBe(
        false,
      );
      expect(await stage.hidden()).toEqual(UNTOUCHED);
      expect(await registry.removeTagFromTimemachine(repository, 'latest', index, options)).toBe(
        true,
      );
      expect(await stage.hidden()).toEqual(REMOVED);
    },
  );

  it.for([[true], [false]])(
    'leaves them where it is not asked for (isAlive %s)',
    async ([isAlive = false], { expect }) => {
      const { registry, repository, index, ...stage } = await anIndexWithChild();
      if (!isAlive) {
        await registry.deleteTag(repository, 'latest');
      }
      const options = { isAlive };
      expect(await registry.removeTagFromTimemachine(repository, 'latest', index, options)).toBe(
        true,
      );
      expect(await stage.hidden()).toEqual(UNTOUCHED);
    },
  );

  it('leaves them where the tag is immutable', async ({ expect }) => {
    const { registry, repository, index, ...stage } = await anIndexWithChild();
    await execute("UPDATE tag SET immutable = 1 WHERE name = 'latest'");
    const options = { includeSubmanifests: true, isAlive: true };
    expect(await registry.removeTagFromTimemachine(repository, 'latest', index, options)).toBe(
      false,
    );
    expect(await stage.hidden()).toEqual(UNTOUCHED);
  });
});

describe('removeTagFromTimemachine in a repository', () => {
  it('I11: that is marked for deletion, or unknown, changes nothing', async ({ expect }) => {
    const { registry, repository, manifest, remove, ...stage } = await aTag();
    await registry.retargetTag(repository, 'latest', manifest);
    const unknown = { ...repository, id: repository.id + 1000 };
    const rows = await select('SELECT * FROM tag');
    await execute('UPDATE repository SET state = 3');
    const before = await stage.generation();
    for (const options of [ALIVE, {}]) {
      const all = { ...options, includeSubmanifests: true };
      expect(await remove(all)).toBe(false);
      expect(await registry.removeTagFromTimemachine(unknown, 'latest', manifest, all)).toBe(false);
    }
    expect(await select('SELECT * FROM tag')).toEqual(rows);
    expect(await stage.generation()).toBe(before);
  });

  it('goes by the window that its namespace has now', async ({ expect }) => {
    const { remove, ends, ...stage } = await aTag();
    await execute('UPDATE namespace SET removed_tag_expiration_s = 86400');
    expect(await remove(ALIVE)).toBe(true);
    expect(await ends()).toEqual([stage.clock.nowMs() - DAY_MS]);
  });
});
