import { parseManifest } from '../../image/parse.ts';
import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import { type Digest, parseDigest } from '../../model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import { isRegistryError } from '../../model/errors.ts';
import { IMPORT_ITEMS_MAX } from '../../model/import-limits.ts';
import { INDEX_DEPTH_MAX } from '../../model/limits.ts';
import {
  type ImportItem,
  importExtentStatement,
  insertImportItemsStatement,
  moveImportItemStatement,
  type NewImportItem,
  reopenImportItemsStatement,
  resolveTagStatement,
  sizeImportItemStatement,
  tagsOfImportedStatement,
  unresolvedTagStatement,
} from '../../storage/d1/import-items.ts';
import { jsonLists } from '../../storage/d1/json-lists.ts';
import { manifestInfoByDigestStatement } from '../../storage/d1/manifests.ts';
import { uploadQuotaStatement } from '../../storage/d1/quota.ts';
import { createManifestPushes } from '../manifests/writes.ts';
import { requireRoom } from '../quota.ts';
import { SourceRefused, SourceUnavailable } from './failures.ts';
import { checkpoint, finishItem, heldBy, type ImportJob } from './job.ts';

/** What a step takes at most, in statements to D1. */
const RESOLVE_STATEMENTS = 5;
const READ_STATEMENTS = 8;
const STORE_STATEMENTS = 60;

/**
 * Looks up what a tag means at the source, and lists that manifest. Gives whether there was a tag to
 * look up; null: the run's limits are reached.
 */
export async function resolveTag(job: ImportJob): Promise<boolean | null> {
  const { budget, taken, deps } = job;
  const { importId } = taken;
  if (!budget.takeStatements(RESOLVE_STATEMENTS)) {
    return null;
  }
  const unresolved = await deps.database.primary.first(unresolvedTagStatement({ importId }));
  if (unresolved === null) {
    return false;
  }
  const { reference } = unresolved;
  const parsed = await fetchManifest(job, reference);
  const root = {
    kind: 'manifest',
    digest: parsed.digest,
    sizeBytes: parsed.bytes.byteLength,
    level: 0,
  } as const;
  await checkpoint(job, [
    resolveTagStatement({ ...heldBy(job), reference, digest: parsed.digest }),
    insertImportItemsStatement({ ...heldBy(job), items: JSON.stringify([root]) }),
  ]);
  return true;
}

/** Reads a manifest and lists what it names; false: the run's limits are reached. */
export async function readManifest(job: ImportJob, item: ImportItem): Promise<boolean> {
  if (!job.budget.takeStatements(READ_STATEMENTS)) {
    return false;
  }
  const { itemId, digest, level } = item;
  if (level > INDEX_DEPTH_MAX) {
    throw new SourceRefused(`indexes of the source are more than ${INDEX_DEPTH_MAX} deep`);
  }
  const parsed = await fetchManifest(job, digest);
  const named = (await isImageHere(job, parsed)) ? [] : itemsOf(parsed, level);
  const held = heldBy(job);
  await checkpoint(job, [
    ...jsonLists(named).map((items) => insertImportItemsStatement({ ...held, items })),
    sizeImportItemStatement({ ...held, itemId, sizeBytes: parsed.bytes.byteLength }),
    moveImportItemStatement({ ...held, itemId, state: 'read' }),
  ]);
  await requireBounds(job);
  return true;
}

/**
 * Stores a manifest byte for byte under its digest, as a push of it does, and with it the tags that
 * are to be its own. False: the run's limits are reached.
 */
export async function storeManifest(job: ImportJob, item: ImportItem): Promise<boolean> {
  const { budget, taken, repository, deps } = job;
  if (!budget.takeStatements(STORE_STATEMENTS)) {
    return false;
  }
  const { importId } = taken;
  const { digest } = item;
  const tags = await deps.database.primary.all(tagsOfImportedStatement({ importId, digest }));
  const parsed = await fetchManifest(job, digest);
  const pushes = createManifestPushes(deps);
  // Held before it writes: what was cancelled sets no tag any more.
  await checkpoint(job, [], { isProgress: false });
  try {
    if (tags.length > 0) {
      const tagNames = tags.map(({ tagName }) => tagName);
      await pushes.createManifestAndRetargetTags(repository, parsed, tagNames);
    } else {
      await pushes.createManifestByDigest(repository, parsed, job.holdSec());
    }
  } catch (error) {
    if (isRegistryError(error) && error.code === 'BlobUnknown') {
      await bringAgain(job, error.detail.digests);
    }
    throw error;
  }
  await finishItem(job, item);
  return true;
}

/** What was here when it was brought and is not any more, as somebody may delete it. */
async function bringAgain(job: ImportJob, digests: readonly string[]): Promise<never> {
  const gone = JSON.stringify(digests);
  await checkpoint(job, [reopenImportItemsStatement({ ...heldBy(job), digests: gone })], {
    isProgress: false,
  });
  throw new SourceUnavailable(`${digests.join(', ')} went away meanwhile; it is brought again`);
}

/** A manifest of the source, checked as far as that needs nothing but its bytes. */
async function fetchManifest({ client }: ImportJob, reference: string): Promise<ParsedManifest> {
  const { bytes, contentType } = await client.manifest(reference);
  const digest = parseDigest(reference);
  try {
    return await parseManifest(bytes, { contentType, reference: digest });
  } catch (error) {
    if (isRegistryError(error)) {
      throw new SourceRefused(`manifest ${reference} of the source: ${error.message}`);
    }
    throw error;
  }
}

/**
 * Whether the repository has the manifest and so all its blobs. An index may be here without all of
 * its children, and is gone through.
 */
async function isImageHere(
  { repository, deps }: ImportJob,
  { kind, digest }: ParsedManifest,
): Promise<boolean> {
  const key = { repositoryId: repository.id, digest };
  return (
    kind === 'image' &&
    (await deps.database.primary.first(manifestInfoByDigestStatement(key))) !== null
  );
}

function itemsOf(parsed: ParsedManifest, level: number): readonly NewImportItem[] {
  if (parsed.kind === 'index') {
    const children = new Map(parsed.manifests.map((child) => [child.digest, child]));
    return [...children.values()].map((child) => {
      requireComputable(child.digest);
      return { kind: 'manifest', digest: child.digest, sizeBytes: child.size, level: level + 1 };
    });
  }
  const sizes = new Map([...parsed.layers, parsed.config].map((each) => [each.digest, each.size]));
  return parsed.localBlobDigests
    .filter((digest) => digest !== EMPTY_BLOB_DIGEST)
    .map((digest) => ({ kind: 'blob', digest, sizeBytes: sizes.get(digest) ?? 0, level: 0 }));
}

function requireComputable(digest: string): Digest {
  const parsed = parseDigest(digest);
  if (parsed === null) {
    throw new SourceRefused(`an index of the source names ${digest}, which is not computed here`);
  }
  return parsed;
}

/** Refuses what is too much before any of it is downloaded. */
async function requireBounds({ taken, name, deps }: ImportJob): Promise<void> {
  const { importId } = taken;
  const [[extent], [quota]] = await deps.database.primary.batch([
    importExtentStatement({ importId }),
    uploadQuotaStatement({ ...name }),
  ]);
  if (extent !== undefined && extent.items > IMPORT_ITEMS_MAX) {
    throw new SourceRefused(
      `this is more than ${IMPORT_ITEMS_MAX} manifests and blobs; import fewer tags at a time`,
    );
  }
  if (extent !== undefined && quota !== undefined) {
    requireRoom(name, { quota, addedBytes: extent.missingBlobBytes }, deps);
  }
}
