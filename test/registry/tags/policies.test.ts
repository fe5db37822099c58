import { describe, it } from 'vitest';

import { execute, openStage, type Stage } from '../../support/stage.ts';

/** A policy as it was made by an operator: the row, and the epoch of its scope. */
async function addPolicy(
  { repository }: Pick<Stage, 'repository'>,
  pattern: string,
  { matches = true, scope = 'repository' }: { matches?: boolean; scope?: string } = {},
): Promise<void> {
  await execute(
    `INSERT INTO ${scope}_immutability_policy
      (uuid, ${scope}_id, tag_pattern, tag_pattern_matches) VALUES (?, ?, ?, ?)`,
    crypto.randomUUID(),
    scope === 'repository' ? repository.id : repository.namespaceId,
    pattern,
    Number(matches),
  );
  await execute(`UPDATE ${scope} SET immutability_epoch = immutability_epoch + 1`);
}

/** Which of these names a push makes immutable. */
async function lockedNames(stage: Stage, names: readonly string[]): Promise<readonly string[]> {
  const image = await stage.image();
  const locked: string[] = [];
  for (const name of names) {
    if ((await stage.push(name, image)).tag.immutable) {
      locked.push(name);
    }
  }
  return locked;
}

describe('a policy', () => {
  it('scenario 58 (tags): locks pushed tags whose whole names match', async ({ expect }) => {
    const stage = await openStage();
    await addPolicy(stage, '^v.*$');
    expect(await lockedNames(stage, ['v1', 'v2', 'latest', 'dev-v1'])).toEqual(['v1', 'v2']);
  });

  it('scenario 59 (tags): that is inverted locks the names that do not match', async ({
    expect,
  }) => {
    const stage = await openStage();
    await addPolicy(stage, '^dev-.*$', { matches: false });
    expect(await lockedNames(stage, ['dev-branch', 'v1.0.0'])).toEqual(['v1.0.0']);
  });

  it('matches whole names though its pattern has no anchors', async ({ expect }) => {
    const stage = await openStage();
    await addPolicy(stage, '[0-9]*');
    expect(await lockedNames(stage, ['redis', '7', 'redis7'])).toEqual(['7']);
  });

  it('of the namespace counts as one of the repository does', async ({ expect }) => {
    const stage = await openStage();
    await addPolicy(stage, 'stable', { scope: 'namespace' });
    await addPolicy(stage, 'v[0-9]+');
    expect(await lockedNames(stage, ['stable', 'v1', 'latest'])).toEqual(['stable', 'v1']);
  });

  it('whose pattern the engine refuses matches nothing, and inverted everything', async ({
    expect,
  }) => {
    const stage = await openStage();
    await addPolicy(stage, '[invalid');
    expect(await lockedNames(stage, ['v1'])).toEqual([]);
    await addPolicy(stage, '(also', { matches: false });
    expect(await lockedNames(stage, ['v2'])).toEqual(['v2']);
  });

  it('is not evaluated for temporary tags, nor while immutability is not enforced', async ({
    expect,
  }) => {
    const stage = await openStage({ settings: { immutableTags: false } });
    await addPolicy(stage, '.*');
    expect(await lockedNames(stage, ['v1'])).toEqual([]);
    const enforcing = await openStage();
    await addPolicy(enforcing, '.*');
    const image = await enforcing.image();
    await enforcing.registry.createManifestWithTempTag(enforcing.repository, image, 60);
    const manifest = await enforcing.registry.lookupManifestByDigest(
      enforcing.repository,
      image.digest,
      { allowHidden: true },
    );
    if (manifest === null) {
      throw new Error('the manifest was stored');
    }
    expect(await enforcing.registry.deleteTagsForManifest(manifest)).toMatchObject({
      hiddenEnded: 1,
    });
  });

  it('scenario 60 (tags): takes the end of the tag away unless immutable tags can expire', async ({
    expect,
  }) => {
    const labels = { 'quay.expires-after': '1h' };
    const stage = await openStage();
    await addPolicy(stage, '.*');
    const { tag } = await stage.push('v1', await stage.image({ labels }));
    expect(tag).toMatchObject({ immutable: true, lifetimeEndMs: null });
    const lenient = await openStage({ settings: { immutableTagsCanExpire: true } });
    await addPolicy(lenient, '.*');
    const { tag: ending } = await lenient.push('v1', await lenient.image({ labels }));
    expect(ending).toMatchObject({
      immutable: true,
      lifetimeEndMs: ending.lifetimeStartMs + 3_600_000,
    });
  });
});
