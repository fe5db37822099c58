import { type ImageConfig, needsConfig } from '../../image/config.ts';
import type { ParsedIndex, ParsedManifest } from '../../image/parsed-manifest.ts';
import { RegistryError } from '../../model/errors.ts';
import type { BlobStore } from '../../storage/r2/blob-store.ts';
import type { RegistrySettings } from '../settings.ts';
import { readConfig } from './config.ts';
import type { PushContext } from './push-context.ts';

/**
 * Checks a manifest that the repository does not have yet against what it has, before anything is
 * written, and gives the image's config where there is one to read. A manifest that is stored is
 * not checked again: its links hold its content.
 *
 * Errors: BlobUnknown naming every blob or child that is missing; ManifestInvalid.
 */
export async function validateNewManifest(
  parsed: ParsedManifest,
  context: PushContext,
  { blobStore, settings }: { blobStore: BlobStore; settings: RegistrySettings },
): Promise<ImageConfig | null> {
  if (parsed.kind === 'index') {
    validateChildren(parsed, context, settings);
    return null;
  }
  const missing = parsed.localBlobDigests.filter((digest) => !context.blobs.has(digest));
  if (missing.length > 0) {
    throw new RegistryError('BlobUnknown', { digests: missing });
  }
  const config = context.blobs.get(parsed.config.digest) ?? null;
  return needsConfig(parsed) ? readConfig(parsed, config, blobStore) : null;
}

function validateChildren(
  parsed: ParsedIndex,
  context: PushContext,
  settings: RegistrySettings,
): void {
  const missing = new Set<string>();
  for (const descriptor of parsed.manifests) {
    const child = context.children.get(descriptor.digest);
    if (child === undefined) {
      missing.add(descriptor.digest);
    } else if (child.sizeBytes !== descriptor.size) {
      throw new RegistryError('ManifestInvalid', {
        reason: `child ${child.digest} has ${child.sizeBytes} bytes, not ${descriptor.size}`,
      });
    } else if (child.mediaType !== descriptor.mediaType) {
      throw new RegistryError('ManifestInvalid', {
        reason: `child ${child.digest} is of type ${child.mediaType}, not ${descriptor.mediaType}`,
      });
    }
  }
  if (missing.size > 0 && !settings.sparseIndex) {
    throw new RegistryError('BlobUnknown', { digests: [...missing] });
  }
}
