import { describe, it } from 'vitest';

import { HOUR_MS, MINUTE_MS, START_MS } from '../../support/clock.ts';
import { findViolations } from '../../support/invariants.ts';
import { begun, keepFor, keepNewest, openRetentionStage } from '../../support/retention.ts';
import { execute, select } from '../../support/stage.ts';
import { seedTags } from '../../support/tags.ts';

describe('a policy that keeps a number of tags', () => {
  it('keeps the newest, and plans the oldest first', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [begun('a', 1), begun('b', 4), begun('c', 2), begun('d', 3)]);
    await stage.keep(keepNewest(2));
    expect(await stage.doomed()).toEqual(['b', 'd']);
    await stage.housekeeping.applyRetention();
    expect(await stage.names()).toEqual(['a', 'c']);
  });

  it('counts only tags of its names', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [
      begun('v1', 4),
      begun('w', 3),
      begun('v2', 2),
      begun('x', 1),
    ]);
    await stage.keep(keepNewest(1, 'v.*'));
    expect(await stage.doomed()).toEqual(['v1']);
    await stage.keep(keepNewest(1, 'v.*', false));
    expect(await stage.doomed()).toEqual(['v1', 'w']);
  });

  it('must match the whole name', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [begun('v1', 2), begun('v1-rc', 1), begun('v2', 0)]);
    await stage.keep(keepNewest(1, 'v[0-9]'));
    expect(await stage.doomed()).toEqual(['v1']);
  });

  it('orders tags of one moment by name', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [begun('b', 1), begun('c', 1), begun('a', 1)]);
    await stage.keep(keepNewest(1));
    expect(await stage.doomed()).toEqual(['c', 'b']);
  });
});

describe('a policy that keeps tags for a period', () => {
  it('ends those that are older, to the millisecond', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [
      { name: 'at', startMs: START_MS - MINUTE_MS },
      { name: 'over', startMs: START_MS - MINUTE_MS - 1 },
    ]);
    await stage.keep(keepFor(60));
    expect(await stage.doomed()).toEqual(['over']);
    stage.clock.advance(1);
    expect(await stage.doomed()).toEqual(['over', 'at']);
  });
});

describe('a retention policy', () => {
  it('never ends temporary, ended or signature tags, and counts none of them', async ({
    expect,
  }) => {
    const stage = await openRetentionStage();
    const signature = `sha256-${'0'.repeat(64)}.sig`;
    await seedTags(stage.repository, [
      begun('old', 9),
      begun('expired', 8, { endMs: START_MS }),
      begun('ends-later', 7, { endMs: START_MS + 1 }),
      begun('$temp-1', 6, { hidden: true }),
      begun('gone', 5, { isCurrent: false, endMs: START_MS - 1 }),
      begun(signature, 4),
    ]);
    await stage.keep(keepNewest(1));
    expect(await stage.doomed()).toEqual(['old']);
    await stage.keep(keepFor(1));
    expect(await stage.doomed()).toEqual(['old', 'ends-later']);
  });

  it('leaves immutable tags alone while they are enforced, and counts them when not', async ({
    expect,
  }) => {
    for (const immutableTags of [true, false]) {
      const stage = await openRetentionStage({ settings: { immutableTags } });
      await seedTags(stage.repository, [
        begun('a', 3),
        begun('b', 2),
        begun('locked', 1, { immutable: true }),
      ]);
      await stage.keep(keepNewest(1));
      expect(await stage.doomed()).toEqual(immutableTags ? ['a'] : ['a', 'b']);
      await stage.keep(keepFor(1));
      await stage.housekeeping.applyRetention();
      expect(await stage.names()).toEqual(immutableTags ? ['locked'] : []);
    }
  });

  it('judges for itself, and a plan says which of them ends a tag', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [begun('a', 3), begun('b', 2), begun('c', 1)]);
    const inherited = await stage.keep(keepNewest(2), stage.namespaceScope);
    const own = await stage.keep(keepFor(110));
    const plan = await stage.operations.planRetention(stage.repository);
    expect(plan).toMatchObject({
      isComplete: true,
      tags: [
        { tagName: 'a', policies: [own, inherited] },
        { tagName: 'b', policies: [own] },
      ],
    });
  });

  it('ends nothing in a repository that takes no pushes, or under a disabled namespace', async ({
    expect,
  }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [begun('a', 3)]);
    await stage.keep(keepFor(1));
    await stage.keep(keepFor(1), stage.namespaceScope);
    for (const [off, on] of [
      ['repository SET state = 1', 'repository SET state = 0'],
      ['repository SET state = 3', 'repository SET state = 0'],
      ['namespace SET enabled = 0', 'namespace SET enabled = 1'],
    ]) {
      await execute(`UPDATE ${off}`);
      expect(await stage.doomed()).toEqual([]);
      expect(await stage.housekeeping.applyRetention()).toMatchObject({ ended: 0 });
      await execute(`UPDATE ${on}`);
      stage.clock.advance(HOUR_MS);
    }
    expect(await stage.housekeeping.applyRetention()).toMatchObject({ ended: 1 });
  });

  it('ends nothing once its pattern is none, though it is inverted', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, [begun('a', 3)]);
    await stage.keep(keepFor(1, 'b', false));
    await execute("UPDATE repository_retention_policy SET tag_pattern = '('");
    await expect(stage.housekeeping.applyRetention()).rejects.toMatchObject({
      code: 'InvalidPolicy',
    });
    expect(await stage.names()).toEqual(['a']);
  });
});

describe('a tag that retention ends', () => {
  it('I9, I14: ends as a deleted one does, and can be restored', async ({ expect }) => {
    const stage = await openRetentionStage();
    const image = await stage.image();
    const { tag } = await stage.push('v1', image);
    await stage.keep(keepFor(60));
    stage.clock.advance(MINUTE_MS + 1);
    const before = await stage.generation();
    await execute('UPDATE repository_gc SET earliest_end_ms = NULL');
    expect(await stage.housekeeping.applyRetention()).toEqual({
      repositories: 1,
      ended: 1,
      isFinished: true,
    });
    const endMs = stage.clock.nowMs();
    expect(await stage.generations('v1')).toMatchObject([
      { id: tag.id, is_current: 0, lifetime_end_ms: endMs },
    ]);
    expect(await stage.generation()).toBe(before + 1);
    expect(await select('SELECT earliest_end_ms FROM repository_gc')).toEqual([
      { earliest_end_ms: endMs },
    ]);
    await stage.registry.retargetTag(stage.repository, 'v1', tag.manifest, { isReversion: true });
    expect(await stage.names()).toEqual(['v1']);
    expect(await findViolations()).toEqual([]);
  });

  it('takes the signatures along with the last name of its image, not before', async ({
    expect,
  }) => {
    for (const { tagsMax, left } of [
      { tagsMax: 2, left: ['new', 'v2'] },
      { tagsMax: 1, left: ['new'] },
    ]) {
      const stage = await openRetentionStage();
      const image = await stage.image();
      const name = `${image.digest.replace(':', '-')}.sig`;
      for (const tagName of ['v1', 'v2']) {
        await stage.push(tagName, image);
        stage.clock.advance(1);
      }
      await stage.push(name, await stage.image());
      await stage.push('new', await stage.image());
      await stage.keep(keepNewest(tagsMax));
      await stage.housekeeping.applyRetention();
      expect(await stage.names()).toEqual(tagsMax === 2 ? ['new', name, 'v2'] : left);
      expect(await findViolations()).toEqual([]);
    }
  });

  it('leaves signatures that are locked, or all if they do not cascade', async ({ expect }) => {
    for (const cosignCascade of [true, false]) {
      const stage = await openRetentionStage({ settings: { cosignCascade } });
      const image = await stage.image();
      const stem = image.digest.replace(':', '-');
      await stage.push('v1', image);
      await stage.push(`${stem}.att`, await stage.image());
      await stage.push(`${stem}.sig`, await stage.image());
      await execute("UPDATE tag SET immutable = 1 WHERE name LIKE '%.sig'");
      stage.clock.advance(1001);
      await stage.keep(keepFor(1));
      await stage.housekeeping.applyRetention();
      const kept = cosignCascade ? [`${stem}.sig`] : [`${stem}.att`, `${stem}.sig`];
      expect(await stage.names()).toEqual(kept);
    }
  });
});
