import { SHA256 } from '@stablelib/sha256';

import { encodeUtf8 } from '../model/bytes.ts';
import type {
  JsonObject,
  JsonValue,
  ManifestImageLayer,
  ManifestLayer,
} from '../model/datatypes.ts';
import { digestOf, hexOf } from '../model/digest.ts';
import { EMPTY_BLOB_BYTES, EMPTY_BLOB_DIGEST } from '../model/empty-blob.ts';
import { HISTORY_STEPS_MAX } from '../model/limits.ts';
import type { ImageConfig } from './config.ts';
import { isJsonObject, manifestInvalid, textIn } from './json.ts';
import type { LayerDescriptor, ParsedImage } from './parsed-manifest.ts';

/** One step of an image's history and the layer that it made. */
export interface ImageStep {
  /** 64 hexadecimal digits that follow from this step and all below it. */
  readonly id: string;
  /** The id of the step below; null: this is the base. */
  readonly parentId: string | null;
  /** Null: the step changed nothing, so its layer is the shared empty one. */
  readonly layer: LayerDescriptor | null;
  /** Null: nothing is told of it. */
  readonly history: StepHistory | null;
}

export interface StepHistory {
  readonly created: string | null;
  readonly author: string | null;
  readonly comment: string | null;
  /** What was run, or, for an image without history, its command as JSON. */
  readonly command: string | null;
  /** The same as the Docker v1 form has it. */
  readonly containerCommand: JsonValue;
}

/**
 * The steps of an image, base first: its history zipped with its layers, or one step for each layer
 * where the config has no history, of which only the last is told anything. `ManifestInvalid`
 * unless as many steps made a layer as there are layers, or for more than
 * {@link HISTORY_STEPS_MAX} steps.
 */
export function imageSteps({ layers, format }: ParsedImage, config: ImageConfig): ImageStep[] {
  const ids = new StepIds();
  if (config.history.length === 0 && format === 'oci') {
    return layers.map((layer, index) => ({
      ...ids.next(layer.digest),
      layer,
      history: index === layers.length - 1 ? historyOfImage(config.json) : null,
    }));
  }
  assertHistoryFits(config.history, layers.length);
  let layersTaken = 0;
  return config.history.map((entry, index) => {
    const layer = isEmptyStep(entry) ? null : (layers[layersTaken++] ?? null);
    const step = `${JSON.stringify(entry)}|${index}|${layer?.digest ?? EMPTY_BLOB_DIGEST}`;
    return { ...ids.next(step), layer, history: historyOfStep(entry) };
  });
}

/**
 * The layers of an image or, where `config` is null, of an artifact, base first. An artifact's have
 * their digest for an id, since nothing else is known of them. Errors: those of {@link imageSteps}.
 */
export function imageLayers(
  parsed: ParsedImage,
  config: ImageConfig | null,
): readonly ManifestImageLayer[] {
  return config === null
    ? parsed.layers.map((layer) => toLayer({ id: layer.digest, layer, history: null }))
    : imageSteps(parsed, config).map(toLayer);
}

/** The digest and the compressed size in bytes of a step's layer. */
export function layerOf({ layer }: Pick<ImageStep, 'layer'>): {
  readonly digest: string;
  readonly size: number;
} {
  return layer ?? { digest: EMPTY_BLOB_DIGEST, size: EMPTY_BLOB_BYTES.byteLength };
}

/**
 * How large a layer is unpacked, in bytes: exactly where that is known, else so many times its
 * compressed size; null where not even that is known.
 */
export function estimatedSize(
  { layerInfo, blob }: ManifestLayer,
  multiplier: number,
): number | null {
  const { compressedSize } = layerInfo;
  const estimate = compressedSize === null ? null : compressedSize * multiplier;
  return blob?.uncompressedSize ?? estimate;
}

function toLayer({ id, ...step }: Omit<ImageStep, 'parentId'>): ManifestImageLayer {
  const { layer, history } = step;
  const { digest, size } = layerOf(step);
  return {
    layerId: id,
    compressedSize: size,
    isRemote: layer?.isRemote ?? false,
    urls: layer?.urls ?? null,
    command: history?.command ?? null,
    blobDigest: digest,
    created: history?.created ?? null,
    author: history?.author ?? null,
    comment: history?.comment ?? null,
  };
}

/** A hash that runs over the steps; what it is after each one is that step's id. */
class StepIds {
  readonly #hash = new SHA256();
  #parentId: string | null = null;

  next(step: string): Pick<ImageStep, 'id' | 'parentId'> {
    this.#hash.update(encodeUtf8(`${step}||`));
    const sum = new SHA256().restoreState(this.#hash.saveState()).digest();
    const parentId = this.#parentId;
    const id = hexOf(digestOf('sha256', sum));
    this.#parentId = id;
    return { id, parentId };
  }
}

function assertHistoryFits(history: readonly JsonObject[], layers: number): void {
  if (history.length > HISTORY_STEPS_MAX) {
    throw manifestInvalid('config.history', `has more than ${HISTORY_STEPS_MAX} steps`);
  }
  const made = history.filter((entry) => !isEmptyStep(entry)).length;
  if (made !== layers) {
    throw manifestInvalid('config.history', `tells of ${made} layers, the manifest has ${layers}`);
  }
}

function isEmptyStep(entry: JsonObject): boolean {
  return entry['empty_layer'] === true;
}

function historyOfStep(entry: JsonObject): StepHistory {
  const command = textIn(entry, 'created_by');
  return {
    created: textIn(entry, 'created'),
    author: textIn(entry, 'author'),
    comment: textIn(entry, 'comment'),
    command,
    containerCommand: command === null ? null : [command],
  };
}

/** What an image without history tells of itself, and so of its last step. */
function historyOfImage(json: JsonObject): StepHistory {
  const runtime = json['config'];
  const command = isJsonObject(runtime) ? (runtime['Cmd'] ?? null) : null;
  return {
    created: textIn(json, 'created'),
    author: textIn(json, 'author'),
    comment: null,
    command: command === null ? null : JSON.stringify(command),
    containerCommand: command,
  };
}
