import * as z from 'zod';

import { hasDigestSyntax, parseDigest, type Digest } from '../model/digest.ts';
import { MANIFEST_DESCRIPTORS_MAX } from '../model/limits.ts';
import { listOf, manifestInvalid, stringMapSchema } from './json.ts';
import type { Descriptor, LayerDescriptor, ParsedImage } from './parsed-manifest.ts';

/** RFC 6838 4.2, as the OCI image-spec asks of every media type. */
const MEDIA_TYPE =
  /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

/** A descriptor of the OCI image-spec; keys that are not listed are allowed and left out. */
export const descriptorSchema = z.object({
  mediaType: z.string().regex(MEDIA_TYPE, 'is not of the form type/subtype'),
  size: z.int().nonnegative(),
  digest: z.string().refine(hasDigestSyntax, 'is not a digest'),
  urls: listOf(z.string()).exactOptional(),
  annotations: stringMapSchema.exactOptional(),
});

/** What a child of a list runs on; further keys such as `variant` are left out. */
export const platformSchema = z.object({ architecture: z.string(), os: z.string() });

/** A list of descriptors, at most {@link MANIFEST_DESCRIPTORS_MAX} of them. */
export function descriptorsOf<Item extends z.ZodType<Descriptor>>(item: Item) {
  return listOf(item, MANIFEST_DESCRIPTORS_MAX);
}

/** `ManifestInvalid` if a manifest with so many descriptors, of all kinds together, is too large. */
export function assertDescriptorCount(count: number): void {
  if (count > MANIFEST_DESCRIPTORS_MAX) {
    throw manifestInvalid(
      'manifest',
      `has ${count} descriptors, ${MANIFEST_DESCRIPTORS_MAX} are allowed`,
    );
  }
}

/** What follows from an image's config and layers. */
type ImageContent = Pick<
  ParsedImage,
  'config' | 'layers' | 'localBlobDigests' | 'layersCompressedSize'
>;

/**
 * The config and the layers with what follows from them. `ManifestInvalid` for a remote layer
 * without `urls`, for a local blob whose digest this registry cannot compute, and for sizes that
 * add up to more than a number holds exactly.
 */
export function imageContent(config: Descriptor, layers: readonly LayerDescriptor[]): ImageContent {
  const digests = new Set<Digest>();
  let layersCompressedSize = 0;
  for (const [index, layer] of layers.entries()) {
    layersCompressedSize += layer.size;
    if (!layer.isRemote) {
      digests.add(localDigest(layer, `layers.${index}`));
    } else if (!hasUrls(layer)) {
      throw manifestInvalid(`layers.${index}.urls`, 'a remote layer needs at least one');
    }
  }
  digests.add(localDigest(config, 'config'));
  if (!Number.isSafeInteger(layersCompressedSize)) {
    throw manifestInvalid('layers', `the sizes add up to more than ${Number.MAX_SAFE_INTEGER}`);
  }
  return { config, layers, localBlobDigests: [...digests], layersCompressedSize };
}

/** Whether the descriptor says where else its content can be fetched. */
export function hasUrls(descriptor: Descriptor): boolean {
  return descriptor.urls !== undefined && descriptor.urls.length > 0;
}

function localDigest(descriptor: Descriptor, path: string): Digest {
  const digest = parseDigest(descriptor.digest);
  if (digest === null) {
    throw manifestInvalid(`${path}.digest`, 'is neither a sha256 nor a sha512 digest');
  }
  return digest;
}
