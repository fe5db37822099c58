import { describe, it } from 'vitest';

import { pushBlob, pushTagged } from '../support/content.ts';
import { aRepository, openTestRegistry } from '../support/registry.ts';

/** A registry in a location that keeps its answers, with a repository and its name. */
async function aLocation() {
  const registry = openTestRegistry({ answerTtlSec: 60 });
  const repository = await aRepository(registry);
  const name = { namespace: repository.namespaceName, repository: repository.name };
  return { registry, repository, name };
}

describe('an answer by digest', () => {
  it('is given again without the database, bytes and all', async ({ expect }) => {
    const { registry, repository, name } = await aLocation();
    const { manifest } = await pushTagged(registry, repository, { tagName: 'latest' });
    const pull = (withBytes: boolean) =>
      registry.operations.resolveManifest(name, manifest.digest, { withBytes });
    const first = await pull(true);
    await registry.settleDeferred();
    const asked = registry.meter.usage.d1RoundTrips;
    expect(await pull(true)).toEqual(first);
    expect((await pull(false))?.manifest).toEqual({ info: first?.manifest?.info, bytes: null });
    expect(registry.meter.usage.d1RoundTrips).toBe(asked);
  });

  it('is not kept of what was not found', async ({ expect }) => {
    const { registry, repository, name } = await aLocation();
    const other = await aRepository(registry);
    const { digest } = await pushBlob(registry, other);
    expect((await registry.operations.resolveBlob(name, digest))?.blob).toBeNull();
    await registry.settleDeferred();
    const blob = await registry.registry.getRepoBlobByDigest(other, digest);
    if (blob === null) {
      throw new Error('the blob is there');
    }
    await registry.registry.mountBlobIntoRepository(blob, repository, 60);
    expect((await registry.operations.resolveBlob(name, digest))?.blob?.digest).toBe(digest);
  });

  it('is given for its own repository only', async ({ expect }) => {
    const { registry, repository, name } = await aLocation();
    const other = await aRepository(registry);
    const { digest } = await pushBlob(registry, repository);
    await registry.operations.resolveBlob(name, digest);
    await registry.settleDeferred();
    const elsewhere = { namespace: other.namespaceName, repository: other.name };
    expect((await registry.operations.resolveBlob(elsewhere, digest))?.blob).toBeNull();
  });

  it('is forgotten at once by the one who deletes', async ({ expect }) => {
    const { registry, repository, name } = await aLocation();
    const { digest } = await pushBlob(registry, repository);
    await registry.operations.resolveBlob(name, digest);
    await registry.settleDeferred();
    await registry.operations.unlinkRepoBlob(repository, digest);
    await registry.operations.forgetBlob(name, digest);
    expect((await registry.operations.resolveBlob(name, digest))?.blob).toBeNull();
  });

  it('is not given to a pusher, who asks the database each time', async ({ expect }) => {
    const { registry, repository, name } = await aLocation();
    const { digest } = await pushBlob(registry, repository);
    await registry.operations.resolveBlob(name, digest);
    await registry.settleDeferred();
    await registry.operations.unlinkRepoBlob(repository, digest);
    expect((await registry.operations.resolveBlobForPush(name, digest))?.blob).toBeNull();
  });
});
