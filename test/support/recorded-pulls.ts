import type { RepositoryRef } from '../../src/model/references.ts';
import type { TestRegistry } from './registry.ts';
import { tagNamed } from './time-travel.ts';
import { nameOf } from './uploads.ts';

type Puller = Pick<TestRegistry, 'operations' | 'settleDeferred'>;

/** Pulls a manifest by digest and waits for what goes on behind the answer; null: not found. */
export async function pullByDigest(puller: Puller, repository: RepositoryRef, digest: string) {
  const found = await puller.operations.resolveManifest(nameOf(repository), digest as never, {
    withBytes: true,
  });
  if (found?.manifest) {
    const { info: manifest } = found.manifest;
    puller.operations.recordPull({
      repository: found.repository,
      manifest,
      by: { kind: 'digest' },
    });
    await puller.settleDeferred();
  }
  return found?.manifest?.info ?? null;
}

/** The same by a tag that is there. */
export async function pullByTag(puller: Puller, repository: RepositoryRef, name: string) {
  const tagName = tagNamed(name);
  const found = await puller.operations.resolveTag(nameOf(repository), tagName, {
    withBytes: true,
  });
  if (!found?.manifest) {
    throw new Error(`no tag ${name}`);
  }
  const { info: manifest } = found.manifest;
  puller.operations.recordPull({
    repository: found.repository,
    manifest,
    by: { kind: 'tag', tagName },
  });
  await puller.settleDeferred();
  return manifest;
}
