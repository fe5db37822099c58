import {
  EXPIRES_AFTER_LABEL,
  IMMUTABLE_LABEL,
  isImmutableLabelValue,
  isLabelKey,
  labelMediaType,
  parseLabelMediaType,
} from '../image/labels.ts';
import type { Label, LabelSource } from '../model/datatypes.ts';
import { RegistryError } from '../model/errors.ts';
import type { ManifestInfo } from '../model/references.ts';
import type { EpochMs } from '../model/time.ts';
import { Batch } from '../storage/d1/batch.ts';
import { UniqueViolation } from '../storage/d1/errors.ts';
import { jsonLists } from '../storage/d1/json-lists.ts';
import {
  deleteLabelStatement,
  insertLabelsStatement,
  labelsStatement,
  labelStatement,
} from '../storage/d1/labels.ts';
import type { RegistryDeps } from './deps.ts';
import type { ManifestLabels } from './interface.ts';
import { retryWrite } from './retry-write.ts';
import type { RegistrySettings } from './settings.ts';
import { addEndsOfManifest } from './tags/expiration.ts';
import { addLocksOfManifest } from './tags/immutability.ts';
import { labelLifetimeMs } from './tags/lifetime.ts';

/** What is said of manifests beside their bytes, and what some of it does to their tags. */
export function createManifestLabels(deps: RegistryDeps): ManifestLabels {
  return { ...createLabelReads(deps), ...createLabelWrites(deps) };
}

type LabelReads = Pick<ManifestLabels, 'listManifestLabels' | 'getManifestLabel'>;

function createLabelReads({ database }: RegistryDeps): LabelReads {
  return {
    // From the primary: that a label is not in the list is an answer too.
    listManifestLabels: ({ id: manifestId }, keyPrefix) =>
      database.primary.all(labelsStatement({ manifestId, keyPrefix: keyPrefix ?? '' })),

    getManifestLabel: ({ id: manifestId }, labelUuid) =>
      database.firstAnywhere(labelStatement({ manifestId, uuid: labelUuid })),
  };
}

function createLabelWrites(deps: RegistryDeps): Omit<ManifestLabels, keyof LabelReads> {
  const { database } = deps;
  return {
    async createManifestLabel(manifest, key, value, source, mediaType) {
      const created = await createLabels(manifest, [{ key, value, source, mediaType }], deps);
      return created?.[0] ?? null;
    },

    async batchCreateManifestLabels(manifest, collect) {
      const given: GivenLabel[] = [];
      await collect((key, value, source, mediaType) => {
        given.push({ key, value, source, mediaType });
      });
      return createLabels(manifest, given, deps);
    },

    async deleteManifestLabel({ id: manifestId }, labelUuid) {
      const name = { manifestId, uuid: labelUuid };
      let seen: Label | null = null;
      return retryWrite(async ({ answerLost }) => {
        const label = await database.primary.first(labelStatement(name));
        if (label === null) {
          // It may be gone because an attempt whose answer was lost removed it.
          return answerLost ? seen : null;
        }
        if (label.sourceType !== 'api') {
          throw new RegistryError('ImmutableLabel', { key: label.key });
        }
        seen = label;
        const deleted = await database.primary.first(deleteLabelStatement(name));
        return deleted === null ? null : label;
      });
    },
  };
}

/** A label as a caller gives it. */
interface GivenLabel {
  readonly key: string;
  readonly value: string;
  readonly source: LabelSource;
  readonly mediaType: string | null | undefined;
}

/**
 * Puts labels on a manifest and has them act, in one batch; null if the manifest is gone.
 * Errors: InvalidLabelKey, InvalidMediaType, ImmutableLabel, Conflict.
 */
async function createLabels(
  manifest: ManifestInfo,
  given: readonly GivenLabel[],
  deps: RegistryDeps,
): Promise<readonly Label[] | null> {
  const nowMs = deps.clock.nowMs();
  const labels = given.map((label) => ({ uuid: deps.ids.uuid(), ...checkLabel(label) }));
  if (labels.length === 0) {
    return [];
  }
  return retryWrite(async () => {
    try {
      return (await insertLabels(manifest, labels, { nowMs, deps })) ? labels : null;
    } catch (error) {
      if (error instanceof UniqueViolation && (await isOurs(manifest, labels, deps))) {
        return labels;
      }
      throw error;
    }
  });
}

/** Errors: InvalidLabelKey, InvalidMediaType. */
function checkLabel({ key, value, source, mediaType }: GivenLabel): Omit<Label, 'uuid'> {
  if (!isLabelKey(key, source)) {
    throw new RegistryError('InvalidLabelKey', { key });
  }
  const chosen = mediaType ?? null;
  const known = chosen === null ? labelMediaType(value) : parseLabelMediaType(chosen);
  if (known === null) {
    throw new RegistryError('InvalidMediaType', { mediaType: String(chosen) });
  }
  return { key, value, sourceType: source, mediaType: known };
}

/** Whether the manifest was there to be labelled. */
async function insertLabels(
  manifest: ManifestInfo,
  labels: readonly Label[],
  { nowMs, deps: { database, settings } }: { nowMs: EpochMs; deps: RegistryDeps },
): Promise<boolean> {
  const batch = new Batch();
  const [inserted] = jsonLists(labels).map((list) =>
    batch.add(insertLabelsStatement({ manifestId: manifest.id, labels: list })),
  );
  addEffects(batch, manifest, { labels, nowMs, settings });
  const results = await batch.run(database.primary);
  return inserted !== undefined && results.firstOf(inserted) !== null;
}

/**
 * Adds what labels do to the tags that the manifest has. A lock comes first, for where the two
 * cannot be together it stays and the end does not, as at a push.
 */
function addEffects(
  batch: Batch,
  manifest: ManifestInfo,
  {
    labels,
    nowMs,
    settings,
  }: { labels: readonly Label[]; nowMs: EpochMs; settings: RegistrySettings },
): void {
  const valuesOf = (acting: string): readonly string[] =>
    labels.filter(({ key }) => key === acting).map(({ value }) => value);
  if (settings.immutableTags && valuesOf(IMMUTABLE_LABEL).some(isImmutableLabelValue)) {
    addLocksOfManifest(batch, manifest, { nowMs, immutable: true, settings });
  }
  const lifetimeMs = valuesOf(EXPIRES_AFTER_LABEL)
    .map((value) => labelLifetimeMs(value, nowMs))
    .findLast((ms) => ms !== null);
  if (lifetimeMs !== undefined) {
    addEndsOfManifest(batch, manifest, { nowMs, lifetimeMs, settings });
  }
}

/**
 * Whether labels that a unique index refused are there already, put by an attempt whose answer was
 * lost; false if nothing is in their way any more. Errors: ImmutableLabel.
 */
async function isOurs(
  { id: manifestId }: ManifestInfo,
  labels: readonly Label[],
  { database }: RegistryDeps,
): Promise<boolean> {
  const there = await database.primary.all(labelsStatement({ manifestId, keyPrefix: '' }));
  if (there.some(({ uuid }) => uuid === labels[0]?.uuid)) {
    return true;
  }
  // An image's own labels have each key once.
  const taken = new Set(there.filter(isImageLabel).map(({ key }) => key));
  for (const { key } of labels.filter(isImageLabel)) {
    if (taken.has(key)) {
      throw new RegistryError('ImmutableLabel', { key });
    }
    taken.add(key);
  }
  return false;
}

function isImageLabel({ sourceType }: Label): boolean {
  return sourceType === 'manifest';
}
