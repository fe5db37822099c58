import * as z from 'zod';

import type { JsonObject } from '../model/datatypes.ts';
import {
  assertDescriptorCount,
  descriptorSchema,
  descriptorsOf,
  imageContent,
  platformSchema,
} from './descriptors.ts';
import { matchSchema, stringMapSchema } from './json.ts';
import { MANIFEST_MEDIA_TYPES, OCI_REMOTE_LAYER_MEDIA_TYPES } from './media-types.ts';
import type { Descriptor, ManifestSource, ParsedImage, ParsedIndex } from './parsed-manifest.ts';

const commonFields = {
  schemaVersion: z.literal(2),
  subject: descriptorSchema.exactOptional(),
  artifactType: z.string().exactOptional(),
  annotations: stringMapSchema.exactOptional(),
};

const imageSchema = z.object({
  ...commonFields,
  mediaType: z.literal(MANIFEST_MEDIA_TYPES.ociManifest).exactOptional(),
  config: descriptorSchema,
  layers: descriptorsOf(descriptorSchema),
});

const indexSchema = z.object({
  ...commonFields,
  mediaType: z.literal(MANIFEST_MEDIA_TYPES.ociIndex).exactOptional(),
  manifests: descriptorsOf(
    descriptorSchema.extend({
      mediaType: z.enum(Object.values(MANIFEST_MEDIA_TYPES)),
      platform: platformSchema.exactOptional(),
    }),
  ),
});

/**
 * An OCI image manifest, of an image or of an artifact. Only non-distributable layers are remote:
 * on any other type `urls` is a second source of a blob that is kept here. `ManifestInvalid` if
 * the body is no such manifest.
 */
export function parseOciImage(body: JsonObject, source: ManifestSource): ParsedImage {
  const { config, layers, ...fields } = matchSchema(body, imageSchema);
  assertDescriptorCount(layers.length + 1 + (fields.subject === undefined ? 0 : 1));
  const located = layers.map((layer) => ({
    ...layer,
    isRemote: OCI_REMOTE_LAYER_MEDIA_TYPES.includes(layer.mediaType),
  }));
  return {
    ...source,
    ...common(fields, config.mediaType),
    kind: 'image',
    ...imageContent(config, located),
  };
}

/**
 * An OCI image index, possibly empty; its children are of any type that is stored, indexes
 * included. `ManifestInvalid` if the body is none.
 */
export function parseOciIndex(body: JsonObject, source: ManifestSource): ParsedIndex {
  const { manifests, ...fields } = matchSchema(body, indexSchema);
  assertDescriptorCount(manifests.length + (fields.subject === undefined ? 0 : 1));
  return { ...source, ...common(fields, null), kind: 'index', manifests };
}

interface CommonFields {
  readonly subject?: Descriptor;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function common(fields: CommonFields, configMediaType: string | null) {
  return {
    format: 'oci',
    subject: fields.subject ?? null,
    // The Go types of the image-spec write no `artifactType` when it is empty: both mean none.
    artifactType: fields.artifactType || configMediaType,
    annotations: fields.annotations ?? {},
  } as const;
}
