import * as z from 'zod';

import { type Bytes, encodeUtf8 } from '../model/bytes.ts';
import type { JsonObject, JsonValue, ManifestImageLayer } from '../model/datatypes.ts';
import { computeDigest, type Digest, parseDigest } from '../model/digest.ts';
import { HISTORY_STEPS_MAX } from '../model/limits.ts';
import type { ImageConfig } from './config.ts';
import {
  isJsonObject,
  listOf,
  manifestInvalid,
  matchSchema,
  parseJsonObject,
  readJsonObject,
  textIn,
} from './json.ts';
import { type ImageStep, layerOf } from './layers.ts';
import { SCHEMA1_MEDIA_TYPE } from './media-types.ts';
import type { ParsedSchema1, Schema1Layer } from './parsed-manifest.ts';

/** What a schema 1 manifest says of where it is. */
export interface Schema1Names {
  /** Empty: the repository stands alone. */
  readonly namespaceName: string;
  readonly repositoryName: string;
  readonly tagName: string;
}

/** Whatever the image runs on: older clients looked at nothing else. */
const ARCHITECTURE = 'amd64';
const INDENT = 3;
const NON_ASCII = /[\u0080-\uFFFF]/g;

/** What a config has for schema 2, or what its layer gets anew. */
const NOT_COPIED: ReadonlySet<string> = new Set(['history', 'rootfs', 'parent']);

/**
 * The schema 1 form of an image: unsigned, leaf first, always in the same bytes and so under the
 * same digest (keys in this order, three spaces, nothing but ASCII).
 */
export async function buildSchema1(
  { namespaceName, repositoryName, tagName }: Schema1Names,
  steps: readonly ImageStep[],
  config: ImageConfig,
): Promise<ParsedSchema1> {
  const leafFirst = steps.toReversed();
  const text = JSON.stringify(
    {
      tag: tagName,
      name: namespaceName === '' ? repositoryName : `${namespaceName}/${repositoryName}`,
      architecture: ARCHITECTURE,
      schemaVersion: 1,
      history: leafFirst.map((step, index) => ({
        v1Compatibility: JSON.stringify(v1Metadata(step, index === 0 ? config.json : {})),
      })),
      fsLayers: leafFirst.map((step) => ({ blobSum: layerOf(step).digest })),
    },
    null,
    INDENT,
  );
  const bytes = encodeUtf8(text.replaceAll(NON_ASCII, escapeCharacter));
  return parseSchema1(bytes, await computeDigest('sha256', bytes));
}

const schema1 = z.object({
  schemaVersion: z.literal(1),
  name: z.string(),
  tag: z.string(),
  history: listOf(z.object({ v1Compatibility: z.string() }), HISTORY_STEPS_MAX),
  fsLayers: listOf(
    z.object({
      blobSum: z.string().transform((text, context): Digest => {
        const digest = parseDigest(text);
        if (digest === null) {
          context.addIssue('is neither a sha256 nor a sha512 digest');
          return z.NEVER;
        }
        return digest;
      }),
    }),
    HISTORY_STEPS_MAX,
  ),
});

/**
 * A schema 1 manifest (Docker "Image Manifest V2, Schema 1"), whose digest is the caller's to know;
 * signatures are not looked at. `ManifestInvalid` if it is none.
 */
export function parseSchema1(bytes: Bytes, digest: Digest): ParsedSchema1 {
  const body = matchSchema(readJsonObject(bytes, 'manifest'), schema1);
  if (body.history.length !== body.fsLayers.length) {
    throw manifestInvalid('history', 'is not as long as fsLayers');
  }
  const leafFirst = body.fsLayers.map(({ blobSum }, index) =>
    toLayer(blobSum, {
      path: `history.${index}.v1Compatibility`,
      text: body.history[index]?.v1Compatibility ?? '',
    }),
  );
  return {
    kind: 'schema1',
    mediaType: SCHEMA1_MEDIA_TYPE,
    digest,
    bytes,
    name: body.name,
    tagName: body.tag,
    layers: leafFirst.toReversed(),
  };
}

/** The layers of a schema 1 manifest as those of any image, base first. */
export function schema1Layers({ layers }: ParsedSchema1): readonly ManifestImageLayer[] {
  return layers.map(({ id, size, command, blobDigest, created, author, comment }) => ({
    layerId: id,
    compressedSize: size,
    isRemote: false,
    urls: null,
    command,
    blobDigest,
    created,
    author,
    comment,
  }));
}

/**
 * What Docker v1 had for a layer. Only the leaf begins with the image's config; whatever that says
 * already stays as it is.
 */
function v1Metadata(step: ImageStep, config: JsonObject): JsonObject {
  const { id, parentId, layer, history } = step;
  const copied = Object.entries(config).filter(([key]) => !NOT_COPIED.has(key));
  const own: readonly (readonly [string, JsonValue])[] = [
    ['created', history?.created ?? null],
    ['author', history?.author ?? null],
    ['comment', history?.comment ?? null],
    ['throwaway', layer === null || null],
    ['container_config', containerConfig(history?.containerCommand ?? null)],
  ];
  return Object.fromEntries([
    ...copied,
    ['id', id],
    ...(parentId === null ? [] : [['parent', parentId]]),
    ...own.filter(([key, value]) => value !== null && !Object.hasOwn(config, key)),
    ['Size', layerOf(step).size],
  ]) as JsonObject;
}

function containerConfig(command: JsonValue): JsonObject | null {
  return command === null ? null : { Cmd: command };
}

function toLayer(blobDigest: Digest, { path, text }: { path: string; text: string }): Schema1Layer {
  const metadata = parseJsonObject(text, path);
  const id = textIn(metadata, 'id');
  if (id === null) {
    throw manifestInvalid(`${path}.id`, 'is not there');
  }
  const container = metadata['container_config'];
  const command = isJsonObject(container) ? (container['Cmd'] ?? null) : null;
  const size = metadata['Size'];
  return {
    blobDigest,
    id,
    parentId: textIn(metadata, 'parent'),
    created: textIn(metadata, 'created'),
    author: textIn(metadata, 'author'),
    comment: textIn(metadata, 'comment'),
    command: command === null ? null : JSON.stringify(command),
    size: typeof size === 'number' ? size : null,
    metadata,
  };
}

function escapeCharacter(character: string): string {
  return String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
