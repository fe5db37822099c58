import * as z from 'zod';

import type { JsonObject } from '../model/datatypes.ts';
import {
  assertDescriptorCount,
  descriptorSchema,
  descriptorsOf,
  hasUrls,
  imageContent,
  platformSchema,
} from './descriptors.ts';
import { matchSchema } from './json.ts';
import {
  DOCKER_CONFIG_MEDIA_TYPE,
  DOCKER_LAYER_MEDIA_TYPES,
  MANIFEST_MEDIA_TYPES,
} from './media-types.ts';
import type { ManifestSource, ParsedImage, ParsedIndex } from './parsed-manifest.ts';

const imageSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MANIFEST_MEDIA_TYPES.dockerManifest),
  config: descriptorSchema.extend({ mediaType: z.literal(DOCKER_CONFIG_MEDIA_TYPE) }),
  layers: descriptorsOf(
    descriptorSchema.extend({ mediaType: z.enum(Object.values(DOCKER_LAYER_MEDIA_TYPES)) }),
  ),
});

const listSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MANIFEST_MEDIA_TYPES.dockerList),
  manifests: descriptorsOf(
    descriptorSchema.extend({
      mediaType: z.literal(MANIFEST_MEDIA_TYPES.dockerManifest),
      platform: platformSchema,
    }),
  ),
});

/** Docker manifests know neither subjects nor types of artifacts nor annotations. */
const PLAIN = { format: 'docker', subject: null, artifactType: null, annotations: {} } as const;

/**
 * A Docker "Image Manifest V2, Schema 2". A layer with `urls` is remote whatever its type, since
 * Docker pushes no blob for it. `ManifestInvalid` if the body is none.
 */
export function parseDockerImage(body: JsonObject, source: ManifestSource): ParsedImage {
  const { config, layers } = matchSchema(body, imageSchema);
  assertDescriptorCount(layers.length + 1);
  const located = layers.map((layer) => ({
    ...layer,
    isRemote: layer.mediaType === DOCKER_LAYER_MEDIA_TYPES.foreign || hasUrls(layer),
  }));
  return { ...source, ...PLAIN, kind: 'image', ...imageContent(config, located) };
}

/**
 * A Docker manifest list: schema 2 manifests, each with its platform. `ManifestInvalid` if the
 * body is none.
 */
export function parseDockerList(body: JsonObject, source: ManifestSource): ParsedIndex {
  const { manifests } = matchSchema(body, listSchema);
  return { ...source, ...PLAIN, kind: 'index', manifests };
}
