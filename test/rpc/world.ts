import { env } from 'cloudflare:workers';

import type { RegistryDataInterface } from '../../src/registry/interface.ts';
import { TestClock } from '../support/clock.ts';
import { uniqueBytes } from '../support/content.ts';
import { aRepository, openTestRegistry, type TestRegistryOptions } from '../support/registry.ts';
import { execute, openStage, select, storeBlob } from '../support/stage.ts';

/** The methods that take the same inside and from another Worker. */
export type SameForm = Omit<RegistryDataInterface, 'batchCreateManifestLabels'>;

/** A registry inside, as the built Worker opens it for a call. */
export function openInside() {
  const clock = new TestClock();
  clock.set(Date.now());
  return openTestRegistry({ ...AS_BUILT, clock });
}

const AS_BUILT: TestRegistryOptions = {
  readConsistency: 'replica',
  legacyImageKey: env.LEGACY_IMAGE_KEY,
};

/** A repository that has something for every method. */
export async function aFullRepository() {
  const clock = new TestClock();
  clock.set(Date.now() - 60_000);
  const stage = await openStage({ ...AS_BUILT, clock });
  const { repository, registry, layer } = stage;
  await stage.push('first', await stage.image());
  await registry.deleteTag(repository, 'first');
  const { manifest, tag } = await stage.push('latest', await stage.image());
  await stage.push('other', await stage.image());
  const label = await registry.createManifestLabel(manifest, 'com.example.key', 'value', 'api');
  const upload = await registry.createBlobUpload(repository, crypto.randomUUID(), 'r2', {});
  const blob = await registry.getRepoBlobByDigest(repository, layer.digest);
  const neighbour = await aRepository(stage);
  const { digest } = await storeBlob(neighbour, uniqueBytes());
  const foreignBlob = await registry.getRepoBlobByDigest(neighbour, digest);
  const imageId = await registry.getTagLegacyImageId(repository, 'latest');
  await execute(
    `INSERT INTO repository_notification
      (uuid, repository_id, event, method, config_json, event_config_json)
    VALUES (?, ?, 'vulnerability_found', 'webhook', '{}', '{"vulnerability":{"priority":"High"}}')`,
    crypto.randomUUID(),
    repository.id,
  );
  await execute(
    `INSERT INTO manifest_security_status
      (manifest_id, repository_id, index_status, last_indexed_ms, indexer_hash, indexer_version)
    VALUES (?, ?, 2, 0, 'hash', 4)`,
    manifest.id,
    repository.id,
  );
  if (
    label === null ||
    upload === null ||
    blob === null ||
    foreignBlob === null ||
    imageId === null
  ) {
    throw new Error('the repository was not filled');
  }
  const parsed = await stage.image();
  return { ...stage, manifest, tag, label, upload, blob, foreignBlob, imageId, parsed };
}

export type FullRepository = Awaited<ReturnType<typeof aFullRepository>>;

/**
 * Two that are alike but for their names, in front of a third: a probe for what is absent reads the
 * row beside its place, if there is one, and so there is one for both.
 */
export async function twoAlike(): Promise<readonly [FullRepository, FullRepository]> {
  const [first, second] = [await aFullRepository(), await aFullRepository()];
  await aFullRepository();
  return [first, second];
}

/** What is in a repository, without what only names it. */
export async function contentOf({ repository: { id } }: FullRepository): Promise<unknown> {
  return Promise.all([
    select(
      `SELECT CASE hidden WHEN 0 THEN name END AS name, hidden, is_current, immutable, reversion,
        lifetime_end_ms IS NOT NULL AS ends, lifetime_end_ms < lifetime_start_ms AS removed
      FROM tag WHERE repository_id = ? ORDER BY id`,
      id,
    ),
    select('SELECT count(*) FROM manifest WHERE repository_id = ?', id),
    select('SELECT key, value, media_type FROM manifest_label WHERE repository_id = ?', id),
    select('SELECT byte_count, chunk_count FROM blob_upload WHERE repository_id = ?', id),
    select('SELECT count(*) FROM uploaded_blob WHERE repository_id = ?', id),
    select('SELECT index_status FROM manifest_security_status WHERE repository_id = ?', id),
  ]);
}

/** Forgets what KV holds, so that the next who asks pays what the first did. */
export async function emptyCache(): Promise<void> {
  const { keys } = await env.CACHE.list();
  await Promise.all(keys.map(({ name }) => env.CACHE.delete(name)));
}
