import { describe, it } from 'vitest';

import type { LegacyImage } from '../../../src/model/datatypes.ts';
import { DAY_MS, HOUR_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository } from '../../support/registry.ts';
import { execute, openStage, select } from '../../support/stage.ts';

const WEEK_MS = 7 * DAY_MS;

/** A stage with one tag, v1, and another image that only a temporary tag holds. */
async function aTagAndAnImage(settings = {}) {
  const stage = await openStage({ settings });
  const image = await stage.image();
  const { manifest, tag } = await stage.push('v1', image);
  const kept = await stage.registry.createManifestWithTempTag(
    stage.repository,
    await stage.image(),
    60,
  );
  if (kept === null) {
    throw new Error('the manifest was not stored');
  }
  return { ...stage, tag, manifest, other: kept };
}

describe('retargetTag', () => {
  it('scenario 18 (tags), I3, I14: ends the old generation when the new one starts', async ({
    expect,
  }) => {
    const { registry, repository, clock, other, ...stage } = await aTagAndAnImage();
    const before = await stage.generation();
    clock.advance(10_000);
    const moved = await registry.retargetTag(repository, 'v1', other);
    expect(moved).toMatchObject({
      name: 'v1',
      manifestDigest: other.digest,
      reversion: false,
      immutable: false,
      lifetimeStartMs: START_MS + 10_000,
      lifetimeEndMs: null,
    });
    expect(await stage.generations('v1')).toMatchObject([
      { lifetime_start_ms: START_MS, lifetime_end_ms: START_MS + 10_000, is_current: 0 },
      { id: moved.id, lifetime_start_ms: START_MS + 10_000, lifetime_end_ms: null, is_current: 1 },
    ]);
    expect(await registry.getRepoTag(repository, 'v1')).toEqual(moved);
    expect(await stage.generation()).toBe(before + 1);
    expect(await findViolations()).toEqual([]);
  });

  it('makes a tag that was not there, and a generation where nothing moves', async ({ expect }) => {
    const { registry, repository, manifest, ...stage } = await aTagAndAnImage();
    const made = await registry.retargetTag(repository, 'new', manifest);
    expect(await registry.getRepoTag(repository, 'new')).toEqual(made);
    stage.clock.advance(1);
    await registry.retargetTag(repository, 'new', manifest);
    expect(await stage.generations('new')).toMatchObject([
      { lifetime_end_ms: START_MS + 1, is_current: 0 },
      { lifetime_start_ms: START_MS + 1, is_current: 1 },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 17 (tags): restores an older manifest, and says so in the history', async ({
    expect,
  }) => {
    const { registry, repository, manifest, ...stage } = await aTagAndAnImage();
    stage.clock.advance(HOUR_MS);
    await stage.push('v1', await stage.image());
    stage.clock.advance(HOUR_MS);
    const dead = await registry.lookupManifestByDigest(repository, manifest.digest);
    expect(dead).toBeNull();
    const restored = await registry.retargetTag(repository, 'v1', manifest, { isReversion: true });
    expect(restored).toMatchObject({ reversion: true, lifetimeEndMs: null });
    const rows = await stage.generations('v1');
    expect(rows.map(({ id, digest, reversion }) => ({ id, digest, reversion }))).toMatchObject([
      { digest: manifest.digest, reversion: 0 },
      { reversion: 0 },
      { id: restored.id, digest: manifest.digest, reversion: 1 },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('takes a legacy image for its manifest', async ({ expect }) => {
    const { registry, repository, other } = await aTagAndAnImage();
    const image: LegacyImage = {
      dockerImageId: 'a'.repeat(64),
      created: null,
      comment: null,
      command: null,
      imageSize: null,
      aggregateSize: 0,
      blobDigest: other.digest,
      blob: null,
      v1MetadataString: '{}',
      layerIndex: 0,
      manifest: other,
      ancestorIds: [],
      parentImageId: null,
    };
    const moved = await registry.retargetTag(repository, 'v1', image);
    expect(moved.manifestDigest).toBe(other.digest);
  });

  it('refuses what is no name of a tag', async ({ expect }) => {
    const { registry, repository, manifest } = await aTagAndAnImage();
    for (const name of ['', '.fail', '-fail', 'x'.repeat(129), `$temp-${crypto.randomUUID()}`]) {
      await expect(registry.retargetTag(repository, name, manifest)).rejects.toMatchObject({
        code: 'TagNameInvalid',
      });
    }
    expect(await select('SELECT id FROM tag WHERE hidden = 0')).toHaveLength(1);
  });

  it('refuses a manifest of another repository', async ({ expect }) => {
    const { manifest, ...stage } = await aTagAndAnImage();
    const repository = await aRepository(stage);
    await expect(stage.registry.retargetTag(repository, 'v1', manifest)).rejects.toMatchObject({
      code: 'RetargetFailed',
      detail: { reason: 'cross-repository' },
    });
    // Nor does it believe a reference that was put together from two.
    const forged = { ...manifest, repositoryId: repository.id };
    await expect(stage.registry.retargetTag(repository, 'v1', forged)).rejects.toMatchObject({
      code: 'RetargetFailed',
      detail: { reason: 'manifest-gone' },
    });
    expect(await select('SELECT id FROM tag WHERE name = ?', 'v1')).toHaveLength(1);
  });

  it('I11: refuses a manifest that was collected', async ({ expect }) => {
    const { registry, repository, other, ...stage } = await aTagAndAnImage();
    const before = await stage.generation();
    await execute('DELETE FROM tag WHERE manifest_id = ?', other.id);
    await execute('DELETE FROM manifest WHERE id = ?', other.id);
    await expect(registry.retargetTag(repository, 'v1', other)).rejects.toMatchObject({
      code: 'RetargetFailed',
      detail: { reason: 'manifest-gone' },
    });
    expect(await stage.generations('v1')).toMatchObject([{ is_current: 1 }]);
    expect(await stage.generation()).toBe(before);
  });

  it('scenario 19 (tags), I11: refuses a repository that vanished after it was read', async ({
    expect,
  }) => {
    const { registry, repository, manifest, other, ...stage } = await aTagAndAnImage();
    const failure = { code: 'RetargetFailed', detail: { reason: 'repository-gone' } };
    const before = await stage.generation();
    const rows = await select('SELECT * FROM tag');
    await execute('UPDATE repository SET state = 3');
    await expect(registry.retargetTag(repository, 'v1', other)).rejects.toMatchObject(failure);
    const id = repository.id + 1000;
    const gone = registry.retargetTag({ ...repository, id }, 'v1', {
      ...manifest,
      repositoryId: id,
    });
    await expect(gone).rejects.toMatchObject(failure);
    expect(await select('SELECT * FROM tag')).toEqual(rows);
    expect(await stage.generation()).toBe(before);
  });
});

describe('a tag that is moved', () => {
  it('scenarios 21 and 23 (tags), I9: keeps its manifest if it is immutable', async ({
    expect,
  }) => {
    const { registry, repository, manifest, other, ...stage } = await aTagAndAnImage();
    await execute("UPDATE tag SET immutable = 1 WHERE name = 'v1'");
    for (const [target, isReversion] of [
      [other, false],
      [manifest, false],
      [manifest, true],
    ] as const) {
      await expect(
        registry.retargetTag(repository, 'v1', target, { isReversion }),
      ).rejects.toMatchObject({
        code: 'TagImmutable',
        message: "Cannot overwrite immutable tag 'v1'",
        detail: { tagName: 'v1', operation: 'overwrite', repositoryId: repository.id },
      });
    }
    expect(await stage.generations('v1')).toMatchObject([
      { digest: manifest.digest, lifetime_end_ms: null, is_current: 1 },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('is protected while it is alive only', async ({ expect }) => {
    const { registry, repository, other, clock } = await aTagAndAnImage();
    await execute(
      "UPDATE tag SET immutable = 1, lifetime_end_ms = ? WHERE name = 'v1'",
      START_MS + HOUR_MS,
    );
    clock.set(START_MS + HOUR_MS - 1);
    await expect(registry.retargetTag(repository, 'v1', other)).rejects.toThrow('immutable');
    clock.set(START_MS + HOUR_MS);
    const moved = await registry.retargetTag(repository, 'v1', other);
    expect(moved).toMatchObject({ immutable: false, lifetimeStartMs: START_MS + HOUR_MS });
  });

  it('scenario 24 (tags): moves though it is immutable while that is not enforced', async ({
    expect,
  }) => {
    const { registry, repository, other } = await aTagAndAnImage({ immutableTags: false });
    await execute("UPDATE tag SET immutable = 1 WHERE name = 'v1'");
    const moved = await registry.retargetTag(repository, 'v1', other);
    expect(moved).toMatchObject({ manifestDigest: other.digest, immutable: false });
  });

  it('takes the signatures of its image along only if it was the last name of it', async ({
    expect,
  }) => {
    const { registry, repository, manifest, other, ...stage } = await aTagAndAnImage();
    const signature = `${manifest.digest.replace(':', '-')}.sig`;
    await stage.push('latest', await stage.image());
    await stage.push(signature, await stage.image());
    await registry.retargetTag(repository, 'latest', manifest);
    await registry.retargetTag(repository, 'v1', other);
    expect(await stage.names()).toEqual(['latest', signature, 'v1']);
    await registry.retargetTag(repository, 'latest', manifest);
    expect(await stage.names()).toEqual(['latest', signature, 'v1']);
    await registry.retargetTag(repository, 'latest', other);
    expect(await stage.names()).toEqual(['latest', 'v1']);
    expect(await findViolations()).toEqual([]);
  });

  it('I2, I4: starts no earlier than its name did, on whichever clock', async ({ expect }) => {
    const { registry, repository, other, clock, ...stage } = await aTagAndAnImage();
    clock.advance(-HOUR_MS);
    const moved = await registry.retargetTag(repository, 'v1', other);
    expect(moved.lifetimeStartMs).toBe(START_MS);
    expect(await stage.generations('v1')).toMatchObject([
      { lifetime_end_ms: START_MS },
      { lifetime_start_ms: START_MS },
    ]);
    expect(await findViolations()).toEqual([]);
  });
});

describe('the labels of a manifest', () => {
  it('scenario 50 (tags): end each of its tags by its own start', async ({ expect }) => {
    const { registry, repository, clock, ...stage } = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '2w' } });
    const { manifest, tag: a } = await stage.push('a', image);
    clock.advance(HOUR_MS);
    const { tag: b } = await stage.push('b', image);
    clock.advance(HOUR_MS);
    const c = await registry.retargetTag(repository, 'c', manifest);
    const ends = [a, b, c].map((tag) => tag.lifetimeEndMs);
    expect(ends).toEqual([0, 1, 2].map((hours) => START_MS + hours * HOUR_MS + 2 * WEEK_MS));
    expect(await findViolations()).toEqual([]);
  });

  it.for([['1g'], ['something']])(
    'scenario 50 (tags): end nothing with the value %s',
    async ([value = ''], { expect }) => {
      const { registry, repository, ...stage } = await openStage();
      const image = await stage.image({ labels: { 'quay.expires-after': value } });
      const { manifest } = await stage.push('a', image);
      const moved = await registry.retargetTag(repository, 'c', manifest);
      expect(moved.lifetimeEndMs).toBeNull();
    },
  );

  it('scenario 51 (tags): of the only child end every tag of its list', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const child = await stage.image({ labels: { 'quay.expires-after': '1w' } });
    await registry.createManifestWithTempTag(repository, child, 60);
    const index = await anIndex([child]);
    const { manifest, tag: first } = await stage.push('a', index);
    const { tag: second } = await stage.push('b', index);
    const third = await registry.retargetTag(repository, 'c', manifest);
    for (const tag of [first, second, third]) {
      expect(tag.lifetimeEndMs).toBe(START_MS + WEEK_MS);
    }
    // An index in between lends nothing.
    const { manifest: outer } = await stage.push('d', await anIndex([index]));
    expect((await registry.retargetTag(repository, 'e', outer)).lifetimeEndMs).toBeNull();
  });

  it('of the children count if every one has the same, and the newest of its own before', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const labels = { 'quay.immutable': 'True' };
    const agreeing = [await stage.image({ labels }), await stage.image({ labels })];
    const plain = await stage.image();
    for (const child of [...agreeing, plain]) {
      await registry.createManifestWithTempTag(repository, child, 60);
    }
    const { manifest } = await stage.push('a', await anIndex(agreeing));
    expect((await registry.retargetTag(repository, 'x', manifest)).immutable).toBe(true);
    const { manifest: mixed } = await stage.push('b', await anIndex([...agreeing, plain]));
    expect((await registry.retargetTag(repository, 'y', mixed)).immutable).toBe(false);
    for (const [value, name] of [
      ['true', 'p'],
      ['false', 'q'],
    ] as const) {
      await execute(
        `INSERT INTO manifest_label (uuid, manifest_id, repository_id, key, value, media_type,
          source_type) VALUES (?, ?, ?, 'quay.immutable', ?, 'text/plain', 'api')`,
        crypto.randomUUID(),
        mixed.id,
        repository.id,
        value,
      );
      const moved = await registry.retargetTag(repository, name, mixed);
      expect(moved.immutable).toBe(value === 'true');
    }
  });

  it('scenario 52 (tags), I10: lock its tags, which so have no end', async ({ expect }) => {
    const labels = { 'quay.immutable': ' TRUE ', 'quay.expires-after': '1h' };
    for (const [settings, expected] of [
      [{}, { immutable: true, lifetimeEndMs: null }],
      [{ immutableTagsCanExpire: true }, { immutable: true, lifetimeEndMs: START_MS + HOUR_MS }],
      [{ immutableTags: false }, { immutable: false, lifetimeEndMs: START_MS + HOUR_MS }],
    ] as const) {
      const { registry, repository, ...stage } = await openStage({ settings });
      const { manifest } = await stage.push('a', await stage.image({ labels }));
      expect(await registry.retargetTag(repository, 'c', manifest)).toMatchObject(expected);
    }
  });

  it('do not count where a policy locks the name already', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    await execute(
      `INSERT INTO repository_immutability_policy (uuid, repository_id, tag_pattern)
        VALUES (?, ?, 'v.*')`,
      crypto.randomUUID(),
      repository.id,
    );
    const labels = { 'quay.immutable': 'false', 'quay.expires-after': '1h' };
    const { manifest } = await stage.push('a', await stage.image({ labels }));
    const locked = await registry.retargetTag(repository, 'v1', manifest);
    expect(locked).toMatchObject({ immutable: true, lifetimeEndMs: null });
    const free = await registry.retargetTag(repository, 'dev', manifest);
    expect(free).toMatchObject({ immutable: false, lifetimeEndMs: START_MS + HOUR_MS });
  });
});
