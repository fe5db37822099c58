import type { ManifestLabel } from '../../image/labels.ts';
import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import {
  assertBlobsVisibleStatement,
  assertBodyTombstoneStatement,
  assertChildrenPresentStatement,
  assertNoQuotaStatement,
  assertWithinQuotaStatement,
} from '../../storage/d1/assertions.ts';
import type { Batch, BatchSlot } from '../../storage/d1/batch.ts';
import { jsonLists } from '../../storage/d1/json-lists.ts';
import { insertImageLabelsStatement } from '../../storage/d1/labels.ts';
import {
  insertBlobLinksStatement,
  insertChildLinksStatement,
  insertManifestStatement,
  linkWaitingParentsStatement,
} from '../../storage/d1/manifests.ts';
import {
  addToNamespaceSizeStatement,
  addToRepositorySizeStatement,
} from '../../storage/d1/quota.ts';
import { withdrawTombstoneStatement } from '../../storage/d1/tombstones.ts';
import type { Ids } from '../deps.ts';
import type { PushContext } from './push-context.ts';

/** A manifest that passed validation, and what becomes visible together with it. */
export interface NewManifest {
  readonly repositoryId: number;
  readonly parsed: ParsedManifest;
  readonly context: PushContext;
  readonly labels: readonly ManifestLabel[];
  readonly nowMs: number;
  /** The key of the body in R2, written ahead under a tombstone; null: the row holds the body. */
  readonly bytesKey: string | null;
}

/** Adds what must hold of the manifest's content; all of it before anything is written. */
export function addNewManifestAssertions(
  batch: Batch,
  { repositoryId, parsed, context }: NewManifest,
): void {
  const { digest } = parsed;
  if (parsed.kind === 'image') {
    const { blobDigests } = context;
    batch.add(assertBlobsVisibleStatement({ repositoryId, digest, blobDigests }));
    if (context.quota === null) {
      batch.add(assertNoQuotaStatement({ repositoryId }));
    }
  } else {
    const childDigests = JSON.stringify([...context.children.keys()]);
    batch.add(assertChildrenPresentStatement({ repositoryId, digest, childDigests }));
  }
}

/**
 * Adds the row, its links and its labels. Blobs and children are looked up by digest inside the
 * batch, so that a child which arrived after the reads is linked all the same.
 */
export function addNewManifest(
  batch: Batch,
  manifest: NewManifest,
  ids: Ids,
): BatchSlot<{ manifestId: number }> {
  const { repositoryId, parsed, context, nowMs, bytesKey } = manifest;
  const { digest } = parsed;
  const isImage = parsed.kind === 'image';
  const inserted = batch.add(
    insertManifestStatement({
      repositoryId,
      digest,
      mediaType: parsed.mediaType,
      sizeBytes: parsed.bytes.byteLength,
      configMediaType: isImage ? parsed.config.mediaType : null,
      layersCompressedSize: isImage ? parsed.layersCompressedSize : null,
      subjectDigest: parsed.subject?.digest ?? null,
      artifactType: parsed.artifactType,
      nowMs,
      bytesKey,
      bytes: bytesKey === null ? new TextDecoder().decode(parsed.bytes) : null,
    }),
  );
  if (bytesKey !== null) {
    batch.add(assertBodyTombstoneStatement({ repositoryId, digest, bytesKey }));
    batch.add(withdrawTombstoneStatement({ repositoryId, digest, bytesKey }));
  }
  if (isImage) {
    const { blobDigests } = context;
    if (context.quota !== null) {
      batch.add(addToRepositorySizeStatement({ repositoryId, blobDigests }));
      batch.add(addToNamespaceSizeStatement({ repositoryId, blobDigests }));
      batch.add(assertWithinQuotaStatement({ repositoryId }));
    }
    batch.add(insertBlobLinksStatement({ repositoryId, digest, blobDigests }));
  } else {
    const { childDigests } = context;
    batch.add(insertChildLinksStatement({ repositoryId, digest, childDigests }));
  }
  batch.add(linkWaitingParentsStatement({ repositoryId, digest }));
  for (const labels of jsonLists(
    manifest.labels.map((label) => ({ uuid: ids.uuid(), ...label, sourceType: 'manifest' })),
  )) {
    batch.add(insertImageLabelsStatement({ repositoryId, digest, labels }));
  }
  return inserted;
}
