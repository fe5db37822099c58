import type { Bytes } from '../../model/bytes.ts';
import type { Manifest } from '../../model/datatypes.ts';
import { StoreUnavailable } from '../../model/errors.ts';
import {
  MANIFEST_INLINE_BYTES_MAX,
  MANIFEST_PUT_START_MS_MAX,
  TOMBSTONE_GRACE_MS,
} from '../../model/limits.ts';
import { type StoredManifest, withBytes } from '../../storage/d1/rows.ts';
import { buryAheadStatement } from '../../storage/d1/tombstones.ts';
import { manifestBodyKey } from '../../storage/r2/paths.ts';
import type { RegistryDeps } from '../deps.ts';

/**
 * The manifest with its bytes; null if the body in R2 is gone, because the manifest was collected
 * since its row was read.
 */
export async function loadManifest(
  stored: StoredManifest,
  { blobStore }: Pick<RegistryDeps, 'blobStore'>,
): Promise<Manifest | null> {
  const { info, body } = stored;
  const bytes = body.kind === 'inline' ? body.bytes : await blobStore.read(body.key);
  return bytes && withBytes(info, bytes);
}

/**
 * Writes a body that is too large for its row into R2 and gives its key; null if the row can hold
 * it. A tombstone names the object before it is there, so a crash leaves nothing unowned; the batch
 * that stores the row takes the tombstone back.
 */
export async function storeLargeBody(
  bytes: Bytes,
  { database, blobStore, clock, ids }: RegistryDeps,
): Promise<string | null> {
  if (bytes.byteLength <= MANIFEST_INLINE_BYTES_MAX) {
    return null;
  }
  const buriedMs = clock.nowMs();
  const objectKey = manifestBodyKey(ids.uuid());
  await database.primary.batch([
    buryAheadStatement({ objectKey, dueMs: buriedMs + TOMBSTONE_GRACE_MS, nowMs: buriedMs }),
  ]);
  if (clock.nowMs() - buriedMs > MANIFEST_PUT_START_MS_MAX) {
    throw new StoreUnavailable(
      'database',
      'the database took too long for the body of a manifest to be written safely',
      null,
    );
  }
  await blobStore.put(objectKey, bytes);
  return objectKey;
}
