import { describe, it } from 'vitest';

import { anIndex } from '../../support/content.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { openStage } from '../../support/stage.ts';

/** A stage, and a reader near a replica that knows the stage as it was when this was called. */
async function aReader() {
  const stage = await openStage();
  const name = { namespace: stage.repository.namespaceName, repository: stage.repository.name };
  const replica = await openLaggingReplica();
  const reader = openTestRegistry({
    clock: stage.clock,
    bindings: replica.bindings,
    readConsistency: 'replica',
  });
  return { stage, name, replica, reader, repository: stage.repository };
}

const withBytes = { withBytes: true };

const all = (...names: readonly string[]) => [names, names, names];

describe('a replica that lags', () => {
  it('answers from its old copy, and catches up', async ({ expect }) => {
    const { stage, replica, reader, repository } = await aReader();
    const { tag: old } = await stage.push('latest', await stage.image());
    await replica.catchUp();
    const { tag: next } = await stage.push('latest', await stage.image());
    expect((await reader.registry.getRepoTag(repository, 'latest'))?.id).toBe(old.id);
    await replica.catchUp();
    expect((await reader.registry.getRepoTag(repository, 'latest'))?.id).toBe(next.id);
    expect(replica.reads()).toBe(2);
    expect((await stage.registry.getRepoTag(repository, 'latest'))?.id).toBe(next.id);
  });

  it('does not hide what was just pushed from a pull by tag', async ({ expect }) => {
    const { stage, name, replica, reader, repository } = await aReader();
    const image = await stage.image();
    const { tag } = await stage.push('latest', image);
    expect((await reader.registry.getRepoTag(repository, 'latest'))?.id).toBe(tag.id);
    expect((await reader.registry.getManifestForTag(tag))?.bytes).toEqual(image.bytes);
    const resolved = await reader.operations.resolveTag(name, tag.name, withBytes);
    expect(resolved).toMatchObject({ tag, manifest: { bytes: image.bytes }, hasEnded: false });
    expect(replica.reads()).toBe(3);
  });

  it('does not hide what was just pushed from a pull by digest', async ({ expect }) => {
    const { stage, name, replica, reader, repository } = await aReader();
    const child = await stage.image();
    await stage.registry.createManifestWithTempTag(repository, child, 60);
    const resolved = await reader.operations.resolveManifest(name, child.digest, withBytes);
    expect(resolved?.manifest?.bytes).toEqual(child.bytes);
    const find = (options: object) =>
      reader.registry.lookupManifestByDigest(repository, child.digest, options);
    expect((await find({ allowHidden: true }))?.bytes).toEqual(child.bytes);
    await replica.catchUp();
    expect(await find({})).toBeNull();
    await stage.push('index', await anIndex([child]));
    expect((await find({}))?.bytes).toEqual(child.bytes);
    expect(replica.reads()).toBe(4);
  });

  it('does not hide a repository that was just made', async ({ expect }) => {
    const replica = await openLaggingReplica();
    const stage = await openStage();
    const image = await stage.image();
    const { tag } = await stage.push('latest', image);
    const reader = openTestRegistry({ bindings: replica.bindings, readConsistency: 'replica' });
    const name = { namespace: stage.repository.namespaceName, repository: stage.repository.name };
    const found = await reader.operations.resolveTag(name, tag.name, withBytes);
    expect(found?.tag?.id).toBe(tag.id);
    expect(await reader.registry.lookupRepository(name.namespace, name.repository)).toEqual(
      stage.repository,
    );
  });

  it('does not make a name look as if it had never been there', async ({ expect }) => {
    const { stage, name, reader, repository } = await aReader();
    const { tag } = await stage.push('latest', await stage.image());
    await stage.registry.deleteTag(repository, 'latest');
    expect(await reader.registry.hasExpiredTag(repository, 'latest')).toBe(true);
    const resolved = await reader.operations.resolveTag(name, tag.name, withBytes);
    expect(resolved).toMatchObject({ tag: null, hasEnded: true });
  });

  it('does not make a page of tags stale, cached or not', async ({ expect }) => {
    const { stage, name, replica, reader, repository } = await aReader();
    const image = await stage.image();
    const { manifest } = await stage.push('a', image);
    await replica.catchUp();
    const names = async () => {
      const cached = await reader.registry.lookupCachedActiveRepositoryTags(repository, null, 9);
      await reader.settleDeferred();
      const resolved = await reader.operations.resolveTagPage(name, null, 9);
      const listed = await reader.registry.lookupActiveRepositoryTags(repository, null, 9);
      const pages = [cached, resolved?.page, listed];
      return pages.map((page) => page?.items.map((tag) => tag.name));
    };
    expect(await names()).toEqual(all('a'));
    await stage.push('b', image);
    expect(await names()).toEqual(all('a', 'b'));
    await stage.registry.deleteTag(repository, 'a');
    expect(await names()).toEqual(all('b'));
    await stage.registry.deleteTagsForManifest(manifest);
    expect(await names()).toEqual(all());
  });

  it('is not asked by a write, nor by a look-up that keeps what it finds', async ({ expect }) => {
    const { stage, replica, reader, repository } = await aReader();
    const image = await stage.image();
    const { manifest } = await stage.push('v1', image);
    await stage.registry.deleteTag(repository, 'v1');
    const writer = reader.registry;
    // On the old copy the manifest is new, and its name free.
    const pushed = await writer.createManifestAndRetargetTag(repository, image, 'v1');
    expect(pushed).toMatchObject({ created: false, manifest: { id: manifest.id } });
    const options = { requireAvailable: true };
    const found = await writer.lookupManifestByDigest(repository, image.digest, options);
    expect(found?.id).toBe(manifest.id);
    expect((await writer.deleteTag(repository, 'v1'))?.id).toBe(pushed?.tag.id);
    await writer.deleteTagsForManifest(manifest);
    expect(replica.reads()).toBe(0);
  });
});
