import { describe, it } from 'vitest';

import { HOUR_MS } from '../../support/clock.ts';
import { findViolations } from '../../support/invariants.ts';
import { openPolicyStage, type PolicyStage } from '../../support/policies.ts';
import { execute, select } from '../../support/stage.ts';
import { seedTags, tagRows } from '../../support/tags.ts';

const ENDING = { 'quay.expires-after': '1h' };

/** Which of these names a push makes immutable. */
async function lockedByPush(
  stage: PolicyStage,
  names: readonly string[],
): Promise<readonly string[]> {
  const image = await stage.image();
  const locked: string[] = [];
  for (const name of names) {
    if ((await stage.push(name, image)).tag.immutable) {
      locked.push(name);
    }
  }
  return locked;
}

/** A stage whose repository has these tags, on one image. */
async function stageWith(names: readonly string[], settings = {}): Promise<PolicyStage> {
  const stage = await openPolicyStage({ settings });
  const image = await stage.image();
  for (const name of names) {
    await stage.push(name, image);
  }
  return stage;
}

describe('a policy', () => {
  it('scenario 58 (tags): locks the tags that are there and whose whole names match', async ({
    expect,
  }) => {
    const stage = await stageWith(['v0', 'v1', 'v2', 'latest', 'dev-v1']);
    await stage.registry.deleteTag(stage.repository, 'v0');
    await seedTags(stage.repository, [
      { name: 'v3', hidden: true },
      { name: 'v4', endMs: stage.clock.nowMs() },
      { name: 'v5', endMs: stage.clock.nowMs() - 1, isCurrent: false },
    ]);
    const before = await tagRows();
    const swept = await stage.addPolicy('^v.*$');
    expect(swept).toEqual({
      policy: { uuid: expect.any(String), tagPattern: '^v.*$', tagPatternMatches: true },
      lockedTags: 2,
      cursor: null,
    });
    const expected = before.map((row) =>
      row['is_current'] === 1 && ['v1', 'v2'].includes(String(row['name']))
        ? { ...row, immutable: 1 }
        : row,
    );
    expect(await tagRows()).toEqual(expected);
  });

  it('scenario 58 (tags): has locked its tags for good, whatever becomes of it', async ({
    expect,
  }) => {
    const stage = await stageWith(['v1', 'w1', 'latest']);
    const { operations, repositoryScope: scope } = stage;
    const { policy } = await stage.addPolicy('^v.*$');
    const content = { tagPattern: '^w.*$', tagPatternMatches: true };
    const updated = await operations.updateImmutabilityPolicy(scope, policy.uuid, content);
    expect(updated).toEqual({
      policy: { uuid: policy.uuid, ...content },
      lockedTags: 1,
      cursor: null,
    });
    expect(await stage.lockedNames()).toEqual(['v1', 'w1']);
    expect(await operations.deleteImmutabilityPolicy(scope, policy.uuid)).toEqual(updated.policy);
    expect(await stage.lockedNames()).toEqual(['v1', 'w1']);
    expect(await lockedByPush(stage, ['v2', 'w2'])).toEqual([]);
  });

  it('scenario 58 (tags): is the only one of its pattern, inverted or not', async ({ expect }) => {
    const stage = await openPolicyStage();
    const { operations, repositoryScope: scope } = stage;
    await stage.addPolicy('^v.*$');
    const { policy } = await stage.addPolicy('^w.*$');
    const inverted = { tagPattern: '^v.*$', tagPatternMatches: false };
    const refusal = { code: 'DuplicatePolicy', detail: { tagPattern: '^v.*$' } };
    await expect(operations.createImmutabilityPolicy(scope, inverted)).rejects.toMatchObject(
      refusal,
    );
    await expect(
      operations.updateImmutabilityPolicy(scope, policy.uuid, inverted),
    ).rejects.toMatchObject(refusal);
    expect(await operations.listImmutabilityPolicies(scope)).toHaveLength(2);
    // The namespace has patterns of its own.
    const inherited = await stage.addPolicy('^v.*$', { scope: stage.namespaceScope });
    expect(inherited.policy.tagPattern).toBe('^v.*$');
  });

  it.for([
    ['257 characters', 'v'.repeat(257)],
    ['nothing', ''],
    ['an open bracket', '[invalid'],
    ['what needs backtracking', '(?=v).*'],
    ['repetitions of repetitions', '(.{0,31}){0,31}'.repeat(16)],
    ['half a character', '\uD800'],
    ['a NUL', 'v\0'],
  ])(
    'scenario 58 (tags): is refused with a pattern of %s',
    async ([, tagPattern = ''], { expect }) => {
      const stage = await openPolicyStage();
      const { operations, repositoryScope: scope } = stage;
      const { policy } = await stage.addPolicy('v');
      const content = { tagPattern, tagPatternMatches: true };
      const refusal = { code: 'InvalidPolicy' };
      await expect(operations.createImmutabilityPolicy(scope, content)).rejects.toMatchObject(
        refusal,
      );
      await expect(
        operations.updateImmutabilityPolicy(scope, policy.uuid, content),
      ).rejects.toMatchObject(refusal);
      expect(await operations.listImmutabilityPolicies(scope)).toEqual([policy]);
    },
  );

  it('scenario 58 (tags): may have 256 characters, whatever their bytes', async ({ expect }) => {
    const stage = await openPolicyStage();
    const tagPattern = '𝄞'.repeat(256);
    expect((await stage.addPolicy(tagPattern)).policy.tagPattern).toBe(tagPattern);
  });

  it('scenario 58 (tags): locks pushed tags whose whole names match', async ({ expect }) => {
    const stage = await openPolicyStage();
    await stage.addPolicy('^v.*$');
    expect(await lockedByPush(stage, ['v1', 'v2', 'latest', 'dev-v1'])).toEqual(['v1', 'v2']);
  });

  it('scenario 59 (tags): that is inverted locks the names that do not match', async ({
    expect,
  }) => {
    const stage = await stageWith(['dev-branch', 'v1.0.0']);
    expect(await stage.addPolicy('^dev-.*$', { matches: false })).toMatchObject({ lockedTags: 1 });
    expect(await stage.lockedNames()).toEqual(['v1.0.0']);
    expect(await lockedByPush(stage, ['dev-other', 'v2.0.0'])).toEqual(['v2.0.0']);
  });

  it('scenario 60 (tags), I10: takes the ends of tags away, unless immutable tags can expire', async ({
    expect,
  }) => {
    for (const immutableTagsCanExpire of [false, true]) {
      const stage = await openPolicyStage({ settings: { immutableTagsCanExpire } });
      const image = await stage.image({ labels: ENDING });
      const { tag } = await stage.push('v1', image);
      await stage.addPolicy('v[0-9]');
      const endMs = immutableTagsCanExpire ? tag.lifetimeStartMs + HOUR_MS : null;
      const expected = { immutable: true, lifetimeEndMs: endMs };
      expect(await stage.registry.getRepoTag(stage.repository, 'v1')).toEqual({
        ...tag,
        ...expected,
        lifetimeEndTs: endMs === null ? null : endMs / 1000,
      });
      expect((await stage.push('v2', image)).tag).toMatchObject(expected);
      expect(await findViolations({ lockedMayEnd: immutableTagsCanExpire })).toEqual([]);
    }
  });

  it('matches whole names though its pattern has no anchors', async ({ expect }) => {
    const stage = await stageWith(['redis', '8']);
    await stage.addPolicy('[0-9]*');
    expect(await lockedByPush(stage, ['redis', '7', 'redis7'])).toEqual(['7']);
    expect(await stage.lockedNames()).toEqual(['7', '8']);
  });

  it('of the namespace counts as one of the repository does', async ({ expect }) => {
    const stage = await openPolicyStage();
    await stage.addPolicy('stable', { scope: stage.namespaceScope });
    await stage.addPolicy('v[0-9]+');
    expect(await lockedByPush(stage, ['stable', 'v1', 'latest'])).toEqual(['stable', 'v1']);
  });

  it('whose pattern the engine refuses matches nothing, and inverted everything', async ({
    expect,
  }) => {
    const stage = await openPolicyStage();
    // An engine that took them made these.
    const add = (pattern: string, matches: number) =>
      execute(
        `INSERT INTO repository_immutability_policy
          (uuid, repository_id, tag_pattern, tag_pattern_matches) VALUES (?, ?, ?, ?)`,
        crypto.randomUUID(),
        stage.repository.id,
        pattern,
        matches,
      );
    await add('[invalid', 1);
    expect(await lockedByPush(stage, ['v1'])).toEqual([]);
    await add('(also', 0);
    expect(await lockedByPush(stage, ['v2'])).toEqual(['v2']);
  });

  it('is never about temporary tags, whether they are there before it or after it', async ({
    expect,
  }) => {
    const stage = await openPolicyStage();
    const images = [await stage.image(), await stage.image()];
    const keep = (at: number) => {
      const image = images[at];
      return image && stage.registry.createManifestWithTempTag(stage.repository, image, 60);
    };
    await keep(0);
    expect(await stage.addPolicy('x', { matches: false })).toMatchObject({ lockedTags: 0 });
    await keep(1);
    expect((await tagRows()).map(({ hidden, immutable }) => [hidden, immutable])).toEqual([
      [1, 0],
      [1, 0],
    ]);
  });

  it('leaves a tag alone that is immutable already, with what end it has', async ({ expect }) => {
    const stage = await stageWith(['v1']);
    const locked = { name: 'v2', immutable: true, endMs: stage.clock.nowMs() + HOUR_MS };
    await seedTags(stage.repository, [locked]);
    expect(await stage.addPolicy('v.*')).toMatchObject({ lockedTags: 1 });
    const [row] = await select("SELECT * FROM tag WHERE name = 'v2'");
    expect(row).toMatchObject({ immutable: 1, lifetime_end_ms: locked.endMs });
  });
});

describe('the policies of a scope', () => {
  it('are listed oldest first, and found by uuid, each in its own scope', async ({ expect }) => {
    const stage = await openPolicyStage();
    const { operations, repositoryScope, namespaceScope } = stage;
    const { policy: one } = await stage.addPolicy('b');
    const { policy: other } = await stage.addPolicy('a', { matches: false });
    const { policy: inherited } = await stage.addPolicy('a', { scope: namespaceScope });
    expect(await operations.listImmutabilityPolicies(repositoryScope)).toEqual([one, other]);
    expect(await operations.listImmutabilityPolicies(namespaceScope)).toEqual([inherited]);
    expect(await operations.getImmutabilityPolicy(repositoryScope, other.uuid)).toEqual(other);
    expect(await operations.getImmutabilityPolicy(namespaceScope, other.uuid)).toBeNull();
    const elsewhere = { kind: 'repository', id: repositoryScope.id + 1 } as const;
    expect(await operations.getImmutabilityPolicy(elsewhere, other.uuid)).toBeNull();
    expect(await operations.listImmutabilityPolicies(elsewhere)).toEqual([]);
  });

  it('are changed and deleted in their own scope only', async ({ expect }) => {
    const stage = await openPolicyStage();
    const { operations, repositoryScope, namespaceScope } = stage;
    const { policy } = await stage.addPolicy('v');
    const refusal = { code: 'PolicyNotFound', detail: { uuid: policy.uuid } };
    for (const change of [
      () => operations.updateImmutabilityPolicy(namespaceScope, policy.uuid, policy),
      () => operations.deleteImmutabilityPolicy(namespaceScope, policy.uuid),
      () => operations.sweepImmutabilityPolicy(namespaceScope, policy.uuid, null),
    ]) {
      await expect(change()).rejects.toMatchObject(refusal);
    }
    expect(await operations.listImmutabilityPolicies(repositoryScope)).toEqual([policy]);
    await operations.deleteImmutabilityPolicy(repositoryScope, policy.uuid);
    await expect(
      operations.deleteImmutabilityPolicy(repositoryScope, policy.uuid),
    ).rejects.toMatchObject(refusal);
  });

  it('are each another version for pushes to see, and only of their scope', async ({ expect }) => {
    const stage = await openPolicyStage();
    const { operations, namespaceScope } = stage;
    const { policy } = await stage.addPolicy('v');
    expect(await stage.epochs()).toEqual([1, 0]);
    await operations.updateImmutabilityPolicy(stage.repositoryScope, policy.uuid, policy);
    expect(await stage.epochs()).toEqual([2, 0]);
    await operations.deleteImmutabilityPolicy(stage.repositoryScope, policy.uuid);
    expect(await stage.epochs()).toEqual([3, 0]);
    await stage.addPolicy('v', { scope: namespaceScope });
    expect(await stage.epochs()).toEqual([3, 1]);
  });

  it('are none while immutability is not enforced, and nothing is locked', async ({ expect }) => {
    const stage = await openPolicyStage();
    const { policy } = await stage.addPolicy('v.*');
    const settings = { immutableTags: false };
    const off = stage.policiesBehind((_call, run) => run(), { settings });
    const { repositoryScope: scope } = stage;
    const refusal = { code: 'PolicyNotFound', detail: { uuid: null } };
    for (const ask of [
      () => off.listImmutabilityPolicies(scope),
      () => off.getImmutabilityPolicy(scope, policy.uuid),
      () => off.createImmutabilityPolicy(scope, { ...policy, tagPattern: 'w.*' }),
      () => off.updateImmutabilityPolicy(scope, policy.uuid, policy),
      () => off.deleteImmutabilityPolicy(scope, policy.uuid),
      () => off.sweepImmutabilityPolicy(scope, policy.uuid, null),
    ]) {
      await expect(ask()).rejects.toMatchObject(refusal);
    }
    const pushing = stage.behind((_call, run) => run(), { settings });
    const pushed = await pushing.createManifestAndRetargetTag(
      stage.repository,
      await stage.image(),
      'v1',
    );
    expect(pushed?.tag.immutable).toBe(false);
  });

  it('are gone with a repository that is marked for deletion, and none is made', async ({
    expect,
  }) => {
    const stage = await stageWith(['v1', 'w1']);
    const { operations, repositoryScope: scope, namespaceScope } = stage;
    const { policy } = await stage.addPolicy('v.*');
    await execute('UPDATE repository SET state = 3');
    expect(await operations.listImmutabilityPolicies(scope)).toEqual([]);
    const content = { tagPattern: 'w.*', tagPatternMatches: true };
    expect(await operations.createImmutabilityPolicy(scope, content)).toBeNull();
    await expect(
      operations.updateImmutabilityPolicy(scope, policy.uuid, content),
    ).rejects.toMatchObject({ code: 'PolicyNotFound' });
    // Its tags are nobody's any more.
    const swept = await operations.createImmutabilityPolicy(namespaceScope, content);
    expect(swept).toMatchObject({ lockedTags: 0 });
    expect(await stage.lockedNames()).toEqual(['v1']);
    const nowhere = { kind: 'namespace', id: namespaceScope.id + 1 } as const;
    expect(await operations.createImmutabilityPolicy(nowhere, content)).toBeNull();
  });
});
