import { z } from 'zod';

import type { Blob } from '../model/datatypes.ts';
import { type Digest, parseDigest } from '../model/digest.ts';
import { EMPTY_BLOB_BYTES, EMPTY_BLOB_DIGEST } from '../model/empty-blob.ts';
import { RegistryError } from '../model/errors.ts';
import { BLOB_SOURCES_MAX } from '../model/limits.ts';
import { R2_LOCATION } from '../model/locations.ts';
import type { RepositoryName } from '../model/names.ts';
import type { RepositoryRef } from '../model/references.ts';
import { addSeconds } from '../model/time.ts';
import {
  type BlobHolder,
  blobByDigestStatement,
  blobHolderStatement,
  blobSourcesStatement,
  deleteLeaseStatement,
  enqueueUnlinkedBlobStatement,
  insertBlobStatement,
  leaseBlobStatement,
  raiseContentEpochOnUnlinkStatement,
  visibleBlobStatement,
} from '../storage/d1/blobs.ts';
import { lowerLeaseHintStatement } from '../storage/d1/gc-hints.ts';
import { repositoryContentVersionStatement } from '../storage/d1/repositories.ts';
import { REPO_BLOB_TTL_SEC, repoBlobKey } from '../storage/kv/keys.ts';
import { EMPTY_BLOB_KEY } from '../storage/r2/paths.ts';
import type { RegistryDeps } from './deps.ts';
import { collectHolders } from './garbage/collect.ts';
import type { BlobMounts, BlobReads, CachedReads, IncludePlacements } from './interface.ts';
import { retrieveCurrent } from './model-cache.ts';
import { sendAgain } from './send-again.ts';

/** Looks blobs up. */
export function createBlobReads({ database }: RegistryDeps): BlobReads {
  return {
    async getRepoBlobByDigest(repository, digest, options = {}) {
      if (parseDigest(digest) === null) {
        return null;
      }
      const blob = await database.firstAnywhere(
        visibleBlobStatement({ repositoryId: repository.id, digest }),
      );
      return blob && asAskedFor(blob, options);
    },
  };
}

const blobShape = z.object({
  uuid: z.string(),
  digest: z.string().transform((digest) => digest as Digest),
  compressedSize: z.number(),
  uncompressedSize: z.number().nullable(),
  objectKey: z.string(),
  placements: z.array(z.string()),
});

/** The same through the cache. */
export function createCachedBlobReads(deps: RegistryDeps): Pick<CachedReads, 'getCachedRepoBlob'> {
  const { primary } = deps.database;
  return {
    async getCachedRepoBlob(namespace, repository, digest) {
      if (parseDigest(digest) === null) {
        return null;
      }
      // A lagging replica would call a blob visible that was unlinked, and for as long as it is kept.
      const cached = await retrieveCurrent(
        {
          key: repoBlobKey({ namespace, repository, digest }),
          ttlSec: REPO_BLOB_TTL_SEC,
          shape: blobShape,
        },
        {
          nowMs: deps.clock.nowMs(),
          readVersion: () =>
            primary.first(repositoryContentVersionStatement({ namespace, repository })),
          nameVersion: ({ repositoryId, contentEpoch }) => `${repositoryId}.${contentEpoch}`,
          load: ({ repositoryId }) => primary.first(visibleBlobStatement({ repositoryId, digest })),
        },
        deps,
      );
      return cached?.value ?? null;
    },
  };
}

/** Makes blobs that exist visible elsewhere. */
export function createBlobMounts({ database, clock }: RegistryDeps): BlobMounts {
  return {
    async mountBlobIntoRepository(blob, target, expirationSec) {
      const nowMs = clock.nowMs();
      const expiresMs = addSeconds(nowMs, expirationSec);
      const repositoryId = target.id;
      const [leased] = await sendAgain(() =>
        database.primary.batch([
          leaseBlobStatement({ repositoryId, digest: blob.digest, nowMs, expiresMs }),
          lowerLeaseHintStatement({ repositoryId, expiresMs }),
        ]),
      );
      return leased.length > 0;
    },
  };
}

/** Finds where blobs are. */
export interface BlobSources {
  /** Some repositories that the blob can be seen from, 50 at most; whoever asks is not asked. */
  findBlobSources(digest: Digest): Promise<readonly RepositoryName[]>;
}

export function createBlobSources({ database }: RegistryDeps): BlobSources {
  return {
    findBlobSources: (digest) =>
      database.primary.all(blobSourcesStatement({ digest, limit: BLOB_SOURCES_MAX })),
  };
}

/** Takes blobs out of repositories. */
export interface BlobDeletes {
  /**
   * Makes a blob invisible in a repository, at once and for good; elsewhere it stays. Null: it is
   * not visible there. Errors: BlobInUse while a manifest of the repository links it, since what
   * the time machine may restore must stay whole.
   */
  unlinkRepoBlob(repository: RepositoryRef, digest: string): Promise<Blob | null>;
}

export function createBlobDeletes(deps: RegistryDeps): BlobDeletes {
  return {
    async unlinkRepoBlob(repository, digest) {
      if (parseDigest(digest) === null) {
        return null;
      }
      const unlink = { repositoryId: repository.id, digest };
      let collected: Blob | null = null;
      for (;;) {
        const { visible, holder, isTaken } = await unlinkOnce(unlink, deps);
        if (holder === null) {
          return isTaken ? visible : collected;
        }
        const { heldUntilMs, manifestDigest } = holder;
        const isGarbage = heldUntilMs !== null && heldUntilMs <= deps.clock.nowMs();
        if (!isGarbage || !(await collectHolders(unlink, deps))) {
          throw new RegistryError('BlobInUse', { manifestDigest, restorableUntilMs: heldUntilMs });
        }
        collected = visible;
      }
    },
  };
}

/** Takes the blob out unless a manifest of the repository links it, which is given then. */
async function unlinkOnce(
  unlink: { readonly repositoryId: number; readonly digest: string },
  { database }: RegistryDeps,
): Promise<{ visible: Blob | null; holder: BlobHolder | null; isTaken: boolean }> {
  return sendAgain(async (isAgain) => {
    const [visible, holders, , , deleted, known = []] = await database.primary.batch([
      visibleBlobStatement(unlink),
      blobHolderStatement(unlink),
      enqueueUnlinkedBlobStatement(unlink),
      raiseContentEpochOnUnlinkStatement(unlink),
      deleteLeaseStatement(unlink),
      ...(isAgain ? [blobByDigestStatement(unlink)] : []),
    ]);
    // What is not visible any more was taken out by the sending whose answer was lost.
    const blob = visible[0] ?? known[0];
    return {
      visible: blob === undefined ? null : withoutPlacements(blob),
      holder: holders[0] ?? null,
      isTaken: deleted.length > 0 || isAgain,
    };
  });
}

/**
 * The shared empty layer. Its object is written before its row, under the one key that is fixed,
 * and both are the same whoever writes them.
 */
export async function ensureEmptyBlob({
  database,
  blobStore,
  clock,
  ids,
}: RegistryDeps): Promise<Blob> {
  await blobStore.put(EMPTY_BLOB_KEY, EMPTY_BLOB_BYTES, EMPTY_BLOB_DIGEST);
  const [, found] = await database.primary.batch([
    insertBlobStatement({
      uuid: ids.uuid(),
      digest: EMPTY_BLOB_DIGEST,
      sizeBytes: EMPTY_BLOB_BYTES.byteLength,
      objectKey: EMPTY_BLOB_KEY,
      location: R2_LOCATION,
      nowMs: clock.nowMs(),
    }),
    blobByDigestStatement({ digest: EMPTY_BLOB_DIGEST }),
  ]);
  const [blob] = found;
  if (blob === undefined) {
    throw new Error('the row of the empty layer was not made');
  }
  return blob;
}

/** A blob from the database with its placements, or without if they were not asked for. */
export function asAskedFor(blob: Blob, { includePlacements }: IncludePlacements): Blob {
  return includePlacements ? blob : withoutPlacements(blob);
}

function withoutPlacements({
  uuid,
  digest,
  compressedSize,
  uncompressedSize,
  objectKey,
}: Blob): Blob {
  return { uuid, digest, compressedSize, uncompressedSize, objectKey };
}
