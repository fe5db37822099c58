import * as z from 'zod';

import type { JsonObject } from '../model/datatypes.ts';
import {
  jsonObjectSchema,
  listOf,
  manifestInvalid,
  matchSchema,
  readJsonObject,
  stringMapSchema,
} from './json.ts';
import { OCI_CONFIG_MEDIA_TYPE } from './media-types.ts';
import type { ParsedImage } from './parsed-manifest.ts';

/** An image's config blob, read. */
export interface ImageConfig {
  /** `config.Labels`, those whose values are strings. */
  readonly labels: Readonly<Record<string, string>>;
  /** One object a step, base first; none where an OCI image does not tell. */
  readonly history: readonly JsonObject[];
  /** The whole of it. */
  readonly json: JsonObject;
}

const runtimeSchema = z.object({ Labels: stringMapSchema.nullish() }).nullish();

const dockerConfigSchema = z.object({
  history: listOf(jsonObjectSchema),
  rootfs: z.object({ type: z.string() }),
  config: runtimeSchema,
});

const ociConfigSchema = z.object({
  architecture: z.string(),
  os: z.string(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: listOf(z.string()) }),
  history: listOf(jsonObjectSchema).exactOptional(),
  config: runtimeSchema,
});

/**
 * Whether the config blob is an image's, to be loaded and checked before the manifest is stored.
 * Any other config of an OCI manifest is an artifact's own affair.
 */
export function needsConfig(parsed: ParsedImage): boolean {
  return parsed.format === 'docker' || parsed.config.mediaType === OCI_CONFIG_MEDIA_TYPE;
}

/**
 * The config blob of an image that {@link needsConfig} (Docker image-spec v1.2; OCI image-spec,
 * "Image Configuration"). `{}` is taken for OCI, since artifacts are pushed with it under the
 * image's config type. `ManifestInvalid` if it has another size than the manifest says, is no
 * JSON object or lacks a field.
 */
export function parseImageConfig(bytes: Uint8Array, parsed: ParsedImage): ImageConfig {
  if (bytes.byteLength !== parsed.config.size) {
    throw manifestInvalid('config.size', `the config has ${bytes.byteLength} bytes`);
  }
  const json = readJsonObject(bytes, 'config');
  if (parsed.format === 'oci' && Object.keys(json).length === 0) {
    return { labels: {}, history: [], json };
  }
  const schema = parsed.format === 'oci' ? ociConfigSchema : dockerConfigSchema;
  const { config, history = [] } = matchSchema(json, schema, 'config');
  return { labels: config?.Labels ?? {}, history, json };
}
