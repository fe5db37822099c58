import { z } from '@hono/zod-openapi';

import type { Label, Manifest, ManifestLayer } from '../../model/datatypes.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import { formatRfc3339, parseRfc3339 } from '../../model/rfc3339.ts';
import type { ManifestPullStatistics } from '../../registry/pulls/statistics.ts';
import { digestText, mediaTypeText, rfc2822, rfc3339 } from './schemas.ts';

/** What the endpoints of manifests and their labels answer. */

const count = z.int().min(0);

const layerView = z
  .strictObject({
    index: count.openapi({ description: 'From the base, which is 0.' }),
    compressed_size: count.nullable(),
    is_remote: z.boolean(),
    urls: z.array(z.string()).nullable(),
    command: z.array(z.string()).nullable(),
    comment: z.string().nullable(),
    author: z.string().nullable(),
    blob_digest: digestText,
    created_datetime: rfc2822.nullable(),
  })
  .openapi('Layer');

export const manifestView = z
  .strictObject({
    digest: digestText,
    is_manifest_list: z.boolean(),
    manifest_data: z.string().openapi({ description: 'The manifest as it was pushed.' }),
    config_media_type: mediaTypeText.nullable(),
    layers_compressed_size: count.openapi({ description: 'Bytes; 0 for a list.' }),
    layers: z.array(layerView).nullable().openapi({ description: 'Null for a list.' }),
  })
  .openapi('Manifest');

/** `layers`: null for a list. */
export function toManifestView(
  manifest: Manifest,
  layers: readonly ManifestLayer[] | null,
): z.infer<typeof manifestView> {
  return {
    digest: manifest.digest,
    is_manifest_list: manifest.isManifestList,
    manifest_data: new TextDecoder().decode(manifest.bytes),
    config_media_type: manifest.configMediaType,
    layers_compressed_size: manifest.layersCompressedSize ?? 0,
    layers: layers && layers.map(toLayerView),
  };
}

function toLayerView({ layerInfo }: ManifestLayer, index: number): z.infer<typeof layerView> {
  const createdMs = layerInfo.created === null ? null : parseRfc3339(layerInfo.created);
  return {
    index,
    compressed_size: layerInfo.compressedSize,
    is_remote: layerInfo.isRemote,
    urls: layerInfo.urls === null ? null : [...layerInfo.urls],
    command: layerInfo.command === null ? null : wordsOf(layerInfo.command),
    comment: layerInfo.comment,
    author: layerInfo.author,
    blob_digest: layerInfo.blobDigest,
    created_datetime: createdMs === null ? null : formatRfc2822(createdMs),
  };
}

const words = z.array(z.string());

/** A command is a JSON list of words, or one text as a shell has it. */
function wordsOf(command: string): string[] {
  try {
    return words.safeParse(JSON.parse(command)).data ?? [command];
  } catch (error) {
    if (error instanceof SyntaxError) {
      return [command];
    }
    throw error;
  }
}

export const manifestPullsView = z
  .strictObject({
    manifest_digest: digestText,
    manifest_pull_count: count,
    last_manifest_pull_date: rfc3339.nullable(),
  })
  .openapi('ManifestPulls');

export function toManifestPullsView(
  pulls: ManifestPullStatistics,
): z.infer<typeof manifestPullsView> {
  const { lastManifestPullMs: lastMs } = pulls;
  return {
    manifest_digest: pulls.manifestDigest,
    manifest_pull_count: pulls.manifestPullCount,
    last_manifest_pull_date: lastMs === null ? null : formatRfc3339(lastMs),
  };
}

export const labelView = z
  .strictObject({
    id: z.uuid(),
    key: z.string().openapi({ example: 'team' }),
    value: z.string().openapi({ example: 'payments' }),
    source_type: z.enum(['manifest', 'api', 'internal']),
    media_type: z.string().openapi({ example: 'text/plain' }),
  })
  .openapi('Label');

export function toLabelView(label: Label): z.infer<typeof labelView> {
  return {
    id: label.uuid,
    key: label.key,
    value: label.value,
    source_type: label.sourceType,
    media_type: label.mediaType,
  };
}
