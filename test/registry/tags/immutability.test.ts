import { describe, it } from 'vitest';

import { HOUR_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage, type Stage } from '../../support/stage.ts';

const lock = (name: string) =>
  execute('UPDATE tag SET immutable = 1 WHERE name = ? AND is_current = 1', name);

/** A stage with v1, locked, and v2, both on one image. */
async function aLockedTag(settings = {}) {
  const stage = await openStage({ settings });
  const image = await stage.image();
  const { manifest, tag } = await stage.push('v1', image);
  await stage.push('v2', image);
  await lock('v1');
  return { ...stage, locked: { image, manifest, tag } };
}

const refusal = (operation: string, { repository }: Pick<Stage, 'repository'>) => ({
  code: 'TagImmutable',
  message: `Cannot ${operation} immutable tag 'v1'`,
  detail: { tagName: 'v1', operation, repositoryId: repository.id },
});

describe('an immutable tag', () => {
  it('scenario 20 (tags): is not deleted', async ({ expect }) => {
    const stage = await aLockedTag();
    await expect(stage.registry.deleteTag(stage.repository, 'v1')).rejects.toMatchObject(
      refusal('delete', stage),
    );
    expect(await stage.names()).toEqual(['v1', 'v2']);
  });

  it('scenario 21 (tags): is not overwritten, and I8: the push leaves no trace', async ({
    expect,
  }) => {
    const { registry, repository, locked, ...stage } = await aLockedTag();
    const next = await stage.image();
    await expect(stage.push('v1', next)).rejects.toMatchObject(
      refusal('overwrite', { repository }),
    );
    expect(await registry.createManifestAndRetargetTag(repository, next, 'v1')).toBeNull();
    const found = await registry.getRepoTag(repository, 'v1');
    expect(found).toMatchObject({ manifestDigest: locked.image.digest, immutable: true });
    const options = { allowDead: true };
    expect(await registry.lookupManifestByDigest(repository, next.digest, options)).toBeNull();
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 22 (tags): does not keep another tag from being made', async ({ expect }) => {
    const stage = await aLockedTag();
    await stage.push('v3', await stage.image());
    expect(await stage.names()).toEqual(['v1', 'v2', 'v3']);
  });

  it('scenario 23 (tags): is not overwritten with the same manifest either', async ({ expect }) => {
    const stage = await aLockedTag();
    await expect(stage.push('v1', stage.locked.image)).rejects.toMatchObject(
      refusal('overwrite', stage),
    );
    expect(await stage.generations('v1')).toHaveLength(1);
  });

  it('scenario 24 (tags): is like any other while immutability is not enforced', async ({
    expect,
  }) => {
    const stage = await aLockedTag({ immutableTags: false });
    const { tag } = await stage.push('v1', await stage.image());
    expect(tag.immutable).toBe(false);
    await lock('v1');
    expect(await stage.registry.deleteTag(stage.repository, 'v1')).not.toBeNull();
    await lock('v2');
    expect((await stage.registry.deleteTagsForManifest(stage.locked.manifest)).tags).toHaveLength(
      1,
    );
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 25 (tags), I18: keeps its manifest from being deleted by digest', async ({
    expect,
  }) => {
    const stage = await aLockedTag();
    await expect(stage.registry.deleteTagsForManifest(stage.locked.manifest)).rejects.toMatchObject(
      refusal('delete', stage),
    );
    expect(await stage.names()).toEqual(['v1', 'v2']);
  });

  it('names the first of several when a manifest is deleted by digest', async ({ expect }) => {
    const stage = await aLockedTag();
    await lock('v2');
    await expect(stage.registry.deleteTagsForManifest(stage.locked.manifest)).rejects.toMatchObject(
      refusal('delete', stage),
    );
  });

  it('loses its protection when it dies, and its name starts afresh', async ({ expect }) => {
    const stage = await openStage({ settings: { immutableTagsCanExpire: true } });
    const labels = { 'quay.immutable': 'true', 'quay.expires-after': '1h' };
    const { tag } = await stage.push('v1', await stage.image({ labels }));
    expect(tag).toMatchObject({ immutable: true, lifetimeEndMs: tag.lifetimeStartMs + HOUR_MS });
    await expect(stage.push('v1', await stage.image())).rejects.toThrow('Cannot overwrite');
    stage.clock.advance(HOUR_MS);
    const { tag: next } = await stage.push('v1', await stage.image());
    expect(next).toMatchObject({ immutable: false, lifetimeEndMs: null });
    expect(await findViolations()).toEqual([]);
  });
});

describe('the label quay.immutable', () => {
  it.for(['true', 'TRUE', ' true '])(
    'scenario 52 (tags): locks the tag with the value "%s", and with enforcement only',
    async (value, { expect }) => {
      const stage = await openStage();
      const image = await stage.image({ labels: { 'quay.immutable': value } });
      expect((await stage.push('v1', image)).tag.immutable).toBe(true);
      // The same image again, under another name.
      expect((await stage.push('v2', image)).tag.immutable).toBe(true);
      const off = stage.behind((_call, run) => run(), { settings: { immutableTags: false } });
      const pushed = await off.createManifestAndRetargetTag(stage.repository, image, 'v3');
      expect(pushed?.tag.immutable).toBe(false);
    },
  );

  it.for(['false', '0', 'no', 'yes', ''])(
    'scenario 52 (tags): does nothing with the value "%s"',
    async (value, { expect }) => {
      const stage = await openStage();
      const image = await stage.image({ labels: { 'quay.immutable': value } });
      expect((await stage.push('v1', image)).tag.immutable).toBe(false);
    },
  );

  it('I10: takes the end away that the tag would have', async ({ expect }) => {
    const stage = await openStage();
    const labels = { 'quay.immutable': 'true', 'quay.expires-after': '1h' };
    const { tag } = await stage.push('v1', await stage.image({ labels }));
    expect(tag).toMatchObject({ immutable: true, lifetimeEndMs: null });
  });

  it('of the children counts for their index if they agree', async ({ expect }) => {
    const stage = await openStage();
    const children = [
      await stage.image({ labels: { 'quay.immutable': 'True' } }),
      await stage.image({ labels: { 'quay.immutable': 'true' } }),
      await stage.image(),
    ];
    for (const child of children) {
      await stage.registry.createManifestWithTempTag(stage.repository, child, 60);
    }
    const agreeing = await anIndex(children.slice(0, 2));
    expect((await stage.push('v1', agreeing)).tag.immutable).toBe(true);
    expect((await stage.push('v2', agreeing)).tag.immutable).toBe(true);
    expect((await stage.push('v3', await anIndex(children))).tag.immutable).toBe(false);
    const nested = await anIndex([agreeing]);
    expect((await stage.push('v4', nested)).tag.immutable).toBe(false);
  });
});
