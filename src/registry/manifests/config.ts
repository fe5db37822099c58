import { type ImageConfig, parseImageConfig } from '../../image/config.ts';
import type { ParsedImage } from '../../image/parsed-manifest.ts';
import type { Blob } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { CONFIG_BYTES_MAX } from '../../model/limits.ts';
import type { BlobStore } from '../../storage/r2/blob-store.ts';

/**
 * The config of an image that needs one, from the blob that the repository has for it.
 * `ManifestInvalid` if it has none (null), or if that is another than the manifest says, too large,
 * lost, or no config.
 */
export async function readConfig(
  parsed: ParsedImage,
  blob: Blob | null,
  blobStore: BlobStore,
): Promise<ImageConfig> {
  if (blob === null) {
    throw new RegistryError('ManifestInvalid', {
      reason: `the config ${parsed.config.digest} is not in the repository`,
    });
  }
  if (blob.compressedSize !== parsed.config.size) {
    throw new RegistryError('ManifestInvalid', {
      reason: `config.size is ${parsed.config.size}, the blob has ${blob.compressedSize} bytes`,
    });
  }
  if (blob.compressedSize > CONFIG_BYTES_MAX) {
    throw new RegistryError('ManifestInvalid', {
      reason: `a config may have at most ${CONFIG_BYTES_MAX} bytes`,
    });
  }
  const bytes = await blobStore.read(blob.objectKey);
  if (bytes === null) {
    throw new RegistryError('ManifestInvalid', {
      reason: `the config ${blob.digest} cannot be read`,
    });
  }
  return parseImageConfig(bytes, parsed);
}
