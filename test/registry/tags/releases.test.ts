import { describe, it } from 'vitest';

import { RELEASE_MOVES_MAX } from '../../../src/model/limits.ts';
import { parseRepositoryName } from '../../../src/model/names.ts';
import { DAY_MS, HOUR_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository } from '../../support/registry.ts';
import {
  aReleaseStage,
  digestsAt,
  moveOf,
  refusalOf,
  RELEASER,
  stored,
} from '../../support/releases.ts';
import { execute, select } from '../../support/stage.ts';

const moved = (index: number) => ({ index, reason: 'tag_moved' });
const signatureOf = ({ digest }: { readonly digest: string }) => `${digest.replace(':', '-')}.sig`;

describe('createRelease', () => {
  it('moves and makes tags at one moment, and remembers what they were', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { operations, registry, repository, clock } = stage;
    const { old, next, moves, before } = await stage.arrange();
    clock.advance(HOUR_MS);
    const release = await operations.createRelease(
      [...moves, moveOf(repository, 'new', next.digest)],
      RELEASER,
    );
    expect(await digestsAt(stage, repository, 'a', 'b', 'new', 'next')).toEqual(
      Array.from({ length: 4 }, () => next.digest),
    );
    const [ended, a] = await stage.generations('a');
    expect(ended).toMatchObject({ lifetime_end_ms: START_MS + HOUR_MS, is_current: 0 });
    expect(a).toMatchObject({
      lifetime_start_ms: START_MS + HOUR_MS,
      lifetime_end_ms: null,
      reversion: 0,
      release_uuid: release.uuid,
    });
    expect(await registry.getRepoTag(repository, 'b')).toMatchObject({ releaseUuid: release.uuid });
    expect(await registry.getRepoTag(repository, 'next')).toMatchObject({ releaseUuid: null });
    const tag = { repositoryId: repository.id, repositoryName: repository.name };
    const [{ id: beforeTagId }] = [{ ...ended }];
    expect(release).toEqual({
      uuid: expect.any(String),
      namespaceId: repository.namespaceId,
      namespaceName: repository.namespaceName,
      releasedMs: START_MS + HOUR_MS,
      performer: RELEASER,
      undoes: null,
      undoneBy: null,
      moves: [
        { ...tag, tagName: 'a', beforeDigest: old.digest, beforeTagId, digest: next.digest },
        {
          ...tag,
          tagName: 'b',
          beforeDigest: old.digest,
          beforeTagId: expect.any(Number),
          digest: next.digest,
        },
        { ...tag, tagName: 'new', beforeDigest: null, beforeTagId: null, digest: next.digest },
      ],
    });
    expect(await stored(stage, release)).toEqual(release);
    expect(await operations.getRelease('other', release.uuid)).toBeNull();
    expect(await stage.generation()).toBe(before + 1);
    expect(await findViolations()).toEqual([]);
  });

  it('reaches several repositories of a namespace, each with its own digests', async ({
    expect,
  }) => {
    const stage = await aReleaseStage();
    const { operations, registry, repository } = stage;
    const { next } = await stage.arrange();
    const other = await aRepository(stage);
    const index = await anIndex([]);
    const pushed = await registry.createManifestAndRetargetTag(other, index, 'index');
    const generation = async () =>
      (await select('SELECT tags_generation FROM repository WHERE id = ?', other.id))[0];
    const before = Number((await generation())?.['tags_generation']);
    const digest = pushed?.manifest.digest ?? '';
    const release = await operations.createRelease(
      [moveOf(repository, 'a', next.digest), moveOf(other, 'a', digest)],
      RELEASER,
    );
    expect(await digestsAt(stage, repository, 'a')).toEqual([next.digest]);
    expect(await digestsAt(stage, other, 'a')).toEqual([digest]);
    expect(await generation()).toEqual({ tags_generation: before + 1 });
    expect(release.moves.map(({ repositoryName }) => repositoryName)).toEqual([
      repository.name,
      other.name,
    ]);
    // Nor does a manifest of the one serve the other.
    const rows = await stage.rows();
    const crossed = [moveOf(other, 'b', digest), moveOf(other, 'a', next.digest)];
    expect(await refusalOf(operations.createRelease(crossed, RELEASER))).toEqual({
      index: 1,
      reason: 'manifest_unknown',
    });
    expect(await stage.rows()).toEqual(rows);
    expect(await findViolations()).toEqual([]);
  });

  it('begins a generation where nothing moves, as a single move does', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { old } = await stage.arrange();
    stage.clock.advance(1);
    const moves = [moveOf(stage.repository, 'a', old.digest)];
    const release = await stage.operations.createRelease(moves, RELEASER);
    expect(release.moves).toMatchObject([{ beforeDigest: old.digest, digest: old.digest }]);
    expect(await stage.generations('a')).toMatchObject([
      { lifetime_end_ms: START_MS + 1 },
      { lifetime_start_ms: START_MS + 1, is_current: 1 },
    ]);
  });

  it('asks each tag for the digest that it was told, or not to be there', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { repository, operations } = stage;
    const { old, next } = await stage.arrange();
    const rows = await stage.rows();
    const refused = async (...conditions: readonly (string | null | undefined)[]) =>
      refusalOf(
        operations.createRelease(
          ['a', 'b', 'new'].map((name, index) =>
            moveOf(repository, name, next.digest, conditions[index]),
          ),
          RELEASER,
        ),
      );
    expect(await refused(next.digest)).toEqual(moved(0));
    expect(await refused(old.digest, next.digest)).toEqual(moved(1));
    expect(await refused(old.digest, null)).toEqual(moved(1));
    expect(await refused(old.digest, undefined, old.digest)).toEqual(moved(2));
    expect(await stage.rows()).toEqual(rows);
    expect(await refused(old.digest, old.digest, null)).toBeNull();
    expect(await refused(next.digest, undefined, null)).toEqual(moved(2));
    // A tag that has ended, or is over, is not there.
    await stage.registry.deleteTag(repository, 'a');
    await execute(
      'UPDATE tag SET lifetime_end_ms = ? WHERE is_current AND name = ?',
      START_MS,
      'b',
    );
    expect(await refused(null, next.digest)).toEqual(moved(1));
    expect(await refused(null, null)).toBeNull();
    expect(await findViolations()).toEqual([]);
  });

  it('takes a manifest that an alive tag holds, itself or by an index, and no other', async ({
    expect,
  }) => {
    const stage = await aReleaseStage();
    const { registry, operations, repository } = stage;
    await stage.arrange();
    const child = await stage.image();
    await registry.createManifestWithTempTag(repository, child, 60);
    const release = () =>
      refusalOf(operations.createRelease([moveOf(repository, 'a', child.digest)], RELEASER));
    expect(await release()).toEqual({ index: 0, reason: 'manifest_unknown' });
    await stage.push('index', await anIndex([child]));
    expect(await release()).toBeNull();
    const unknown = `sha256:${'0'.repeat(64)}`;
    expect(
      await refusalOf(operations.createRelease([moveOf(repository, 'a', unknown)], RELEASER)),
    ).toEqual({ index: 0, reason: 'manifest_unknown' });
  });

  it('is refused by one locked tag among others, and changes none', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { operations } = stage;
    const { old, moves } = await stage.arrange();
    await execute("UPDATE tag SET immutable = 1 WHERE name = 'b'");
    const rows = await stage.rows();
    await expect(operations.createRelease(moves, RELEASER)).rejects.toMatchObject({
      code: 'ReleaseRefused',
      detail: {
        index: 1,
        repository: `${stage.repository.namespaceName}/${stage.repository.name}`,
        tagName: 'b',
        reason: 'tag_immutable',
        currentDigest: old.digest,
      },
    });
    expect(await stage.rows()).toEqual(rows);
    // It is protected while it is alive only.
    await execute("UPDATE tag SET lifetime_end_ms = ? WHERE name = 'b'", START_MS);
    await operations.createRelease(moves, RELEASER);
    expect(await findViolations()).toEqual([]);
  });

  it('moves locked tags while that is not enforced', async ({ expect }) => {
    const stage = await aReleaseStage({ settings: { immutableTags: false } });
    const { moves, next } = await stage.arrange({ 'quay.immutable': 'true' });
    await execute("UPDATE tag SET immutable = 1 WHERE name = 'b'");
    await stage.operations.createRelease(moves, RELEASER);
    expect(await stage.digests()).toEqual([next.digest, next.digest]);
    expect(await stage.generations('b')).toMatchObject([{}, { immutable: 0 }]);
  });

  it('refuses what no release can be', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { repository, operations } = stage;
    const { moves, next } = await stage.arrange();
    const foreign = await aRepository(stage, parseRepositoryName('other/app') ?? undefined);
    const many = Array.from({ length: RELEASE_MOVES_MAX + 1 }, (_, n) =>
      moveOf(repository, `t${n}`, next.digest),
    );
    const rows = await stage.rows();
    for (const [wrong, code, message] of [
      [[], 'InvalidRelease', 'not 0'],
      [many, 'InvalidRelease', 'not 51'],
      [[...moves, ...moves.slice(1)], 'InvalidRelease', 'moves 1 and 2 are of the same tag'],
      [[...moves, moveOf(foreign, 'a', next.digest)], 'InvalidRelease', 'two namespaces'],
      [[moveOf(repository, '-x', next.digest)], 'TagNameInvalid', 'tag name'],
    ] as const) {
      const refused = async () => operations.createRelease(wrong, RELEASER);
      await expect(refused()).rejects.toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    }
    expect(await stage.rows()).toEqual(rows);
    await operations.createRelease(many.slice(1), RELEASER);
    expect(await findViolations()).toEqual([]);
  });

  it('I11: refuses a repository that was marked for deletion', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { next } = await stage.arrange();
    const other = await aRepository(stage);
    await execute('UPDATE repository SET state = 3 WHERE id = ?', stage.repository.id);
    const rows = await stage.rows();
    const moves = [moveOf(stage.repository, 'a', next.digest), moveOf(other, 'a', next.digest)];
    expect(await refusalOf(stage.operations.createRelease(moves, RELEASER))).toEqual({
      index: 0,
      reason: 'repository_gone',
    });
    expect(await stage.rows()).toEqual(rows);
  });
});

describe('the tags of a release', () => {
  it('end by the labels of their manifests, and are locked by them', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { registry, operations, repository } = stage;
    const { next } = await stage.arrange({ 'quay.expires-after': '1d' });
    const { manifest: locking } = await stage.push(
      'locking',
      await stage.image({ labels: { 'quay.immutable': 'true' } }),
    );
    const child = await stage.image({ labels: { 'quay.expires-after': '2h' } });
    const plain = await stage.image();
    await registry.createManifestWithTempTag(repository, child, 60);
    await registry.createManifestWithTempTag(repository, plain, 60);
    const { manifest: agreeing } = await stage.push('agreeing', await anIndex([child]));
    const { manifest: mixed } = await stage.push('mixed', await anIndex([child, plain]));
    await operations.createRelease(
      [next, locking, agreeing, mixed].map(({ digest }, n) => moveOf(repository, `t${n}`, digest)),
      RELEASER,
    );
    const traits = await Promise.all(
      [0, 1, 2, 3].map(async (n) => {
        const tag = await registry.getRepoTag(repository, `t${n}`);
        return [tag?.lifetimeEndMs, tag?.immutable];
      }),
    );
    expect(traits).toEqual([
      [START_MS + DAY_MS, false],
      [null, true],
      [START_MS + 2 * HOUR_MS, false],
      [null, false],
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('are locked by the policies of their own repository, and of the namespace', async ({
    expect,
  }) => {
    const stage = await aReleaseStage();
    const { registry, operations, repository } = stage;
    const { next } = await stage.arrange();
    const other = await aRepository(stage);
    const pushed = await registry.createManifestAndRetargetTag(other, await anIndex([]), 'x');
    const policy = (scope: 'repository' | 'namespace', id: number, pattern: string) =>
      operations.createImmutabilityPolicy(
        { kind: scope, id },
        { tagPattern: pattern, tagPatternMatches: true },
      );
    await policy('repository', repository.id, 'one');
    await policy('repository', other.id, 'two');
    await policy('namespace', repository.namespaceId, 'three');
    const names = ['one', 'two', 'three'];
    await operations.createRelease(
      names.flatMap((name) => [
        moveOf(repository, name, next.digest),
        moveOf(other, name, pushed?.manifest.digest ?? ''),
      ]),
      RELEASER,
    );
    const locked = async (where: typeof repository) =>
      Promise.all(
        names.map(async (name) => (await registry.getRepoTag(where, name))?.immutable ?? null),
      );
    expect(await locked(repository)).toEqual([true, false, true]);
    expect(await locked(other)).toEqual([false, true, true]);
    expect(await findViolations()).toEqual([]);
  });

  it('take the signatures of what they leave along, as it is after all moves', async ({
    expect,
  }) => {
    const stage = await aReleaseStage();
    const { operations, repository } = stage;
    const { old, next } = await stage.arrange();
    await stage.push(signatureOf(old), await stage.image());
    await stage.push(signatureOf(next), await stage.image());
    // They change places: each image has a tag before and after, but not in between.
    await stage.registry.deleteTag(repository, 'b');
    await operations.createRelease(
      [moveOf(repository, 'a', next.digest), moveOf(repository, 'next', old.digest)],
      RELEASER,
    );
    expect(await stage.names()).toEqual(
      ['a', 'next', signatureOf(old), signatureOf(next)].toSorted(),
    );
    // The last tag leaves, and the release itself tags another signature of what it left.
    const attestation = `${old.digest.replace(':', '-')}.att`;
    await operations.createRelease(
      [moveOf(repository, attestation, next.digest), moveOf(repository, 'next', next.digest)],
      RELEASER,
    );
    expect(await stage.names()).toEqual(['a', 'next', attestation, signatureOf(next)].toSorted());
    expect(await findViolations()).toEqual([]);
  });

  it('leave signatures alone where these do not follow', async ({ expect }) => {
    const stage = await aReleaseStage({ settings: { cosignCascade: false } });
    const { old, moves } = await stage.arrange();
    const signature = `${old.digest.replace(':', '-')}.sig`;
    await stage.push(signature, await stage.image());
    await stage.operations.createRelease(moves, RELEASER);
    expect(await stage.names()).toContain(signature);
  });

  it('start no earlier than their names did, on whichever clock (I2, I4)', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { moves } = await stage.arrange();
    stage.clock.advance(-HOUR_MS);
    await stage.operations.createRelease(moves, RELEASER);
    expect(await stage.generations('a')).toMatchObject([
      { lifetime_end_ms: START_MS },
      { lifetime_start_ms: START_MS },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('are shown at once by pages that were kept', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { registry, repository } = stage;
    const { next } = await stage.arrange();
    const page = async () =>
      (await registry.lookupCachedActiveRepositoryTags(repository, null, 10)).items.map(
        ({ name }) => name,
      );
    expect(await page()).toEqual(['a', 'b', 'next']);
    await stage.operations.createRelease([moveOf(repository, 'new', next.digest)], RELEASER);
    expect(await page()).toEqual(['a', 'b', 'new', 'next']);
  });
});
