import {
  R2_CALLS_AT_ONCE_MAX,
  TOMBSTONE_BACK_OFF_MS,
  TOMBSTONE_BACK_OFF_MS_MAX,
  TOMBSTONE_ROUNDS_MAX,
  TOMBSTONES_PER_ROUND_MAX,
} from '../../model/limits.ts';
import {
  removeTombstonesStatement,
  takeDueTombstonesStatement,
  type Tombstone,
  type TombstoneKind,
} from '../../storage/d1/tombstones.ts';
import type { BlobStore } from '../../storage/r2/blob-store.ts';
import type { RegistryDeps } from '../deps.ts';

/** What a run of the drain did. */
export interface DrainReport {
  /** How many tombstones it took up. */
  readonly taken: number;
  /** How many of them are done with: R2 has confirmed, their rows are gone. */
  readonly removed: number;
  /** Why the others are not. They are taken up again later. */
  readonly failures: readonly unknown[];
}

/** Deletes from R2 what belongs to nobody any more. */
export interface TombstoneDrain {
  /**
   * Deletes what the due tombstones name, then the tombstones: {@link TOMBSTONES_PER_ROUND_MAX} at
   * a time, {@link TOMBSTONE_ROUNDS_MAX} times at most. May run twice at once, and may die anywhere:
   * whatever was not confirmed is done again. Does not throw for failures of R2.
   */
  drainTombstones(): Promise<DrainReport>;
}

export function createTombstoneDrain(deps: RegistryDeps): TombstoneDrain {
  return {
    async drainTombstones() {
      const report = { taken: 0, removed: 0, failures: [] as unknown[] };
      for (let round = 0; round < TOMBSTONE_ROUNDS_MAX; round += 1) {
        const taken = await takeDue(deps);
        const { confirmed, failures } = await bury(taken, deps.blobStore);
        if (confirmed.length > 0) {
          const tombstones = JSON.stringify(
            confirmed.map(({ objectKey, kind }) => ({ objectKey, kind })),
          );
          await deps.database.primary.all(removeTombstonesStatement({ tombstones }));
        }
        report.taken += taken.length;
        report.removed += confirmed.length;
        report.failures.push(...failures);
        if (taken.length < TOMBSTONES_PER_ROUND_MAX) {
          break;
        }
      }
      return report;
    },
  };
}

/**
 * To take up is to write: from then on no push withdraws the tombstone that it wrote ahead of its
 * object, and lose the object by a deletion that is under way.
 */
function takeDue({ database, clock }: RegistryDeps): Promise<readonly Tombstone[]> {
  return database.primary.all(
    takeDueTombstonesStatement({
      nowMs: clock.nowMs(),
      limit: TOMBSTONES_PER_ROUND_MAX,
      backOffMs: TOMBSTONE_BACK_OFF_MS,
      backOffMsMax: TOMBSTONE_BACK_OFF_MS_MAX,
      doublingsMax: Math.ceil(Math.log2(TOMBSTONE_BACK_OFF_MS_MAX / TOMBSTONE_BACK_OFF_MS)),
    }),
  );
}

interface Outcome {
  readonly confirmed: readonly Tombstone[];
  readonly failures: readonly unknown[];
}

/**
 * Multipart uploads first: one that is being completed must not bring its object back after the
 * key was deleted, so a key whose multipart could not be aborted has to wait.
 */
async function bury(tombstones: readonly Tombstone[], store: BlobStore): Promise<Outcome> {
  const ofKind = (wanted: TombstoneKind) => tombstones.filter(({ kind }) => kind === wanted);
  const multiparts = await eachConfirmed(ofKind('mpu'), ({ objectKey, r2UploadId }) =>
    r2UploadId === null ? Promise.resolve() : store.abortMultipart(objectKey, r2UploadId),
  );
  const aborted = new Set(multiparts.confirmed);
  const open = new Set(
    ofKind('mpu')
      .filter((multipart) => !aborted.has(multipart))
      .map(({ objectKey }) => objectKey),
  );
  const keys = await deleteKeys(
    ofKind('key').filter(({ objectKey }) => !open.has(objectKey)),
    store,
  );
  const prefixes = await eachConfirmed(ofKind('prefix'), ({ objectKey }) =>
    deletePrefix(objectKey, store),
  );
  const outcomes = [multiparts, keys, prefixes];
  return {
    confirmed: outcomes.flatMap(({ confirmed }) => confirmed),
    failures: outcomes.flatMap(({ failures }) => failures),
  };
}

/** All keys of a round by one call, which R2 answers as a whole. */
async function deleteKeys(keys: readonly Tombstone[], store: BlobStore): Promise<Outcome> {
  if (keys.length === 0) {
    return { confirmed: [], failures: [] };
  }
  try {
    await store.delete(keys.map(({ objectKey }) => objectKey));
    return { confirmed: keys, failures: [] };
  } catch (error) {
    return { confirmed: [], failures: [error] };
  }
}

async function deletePrefix(prefix: string, store: BlobStore): Promise<void> {
  let keys = await store.list(prefix);
  while (keys.length > 0) {
    await store.delete(keys);
    keys = await store.list(prefix);
  }
}

/** Does something for each tombstone, some at a time; one that fails hinders no other. */
async function eachConfirmed(
  tombstones: readonly Tombstone[],
  act: (tombstone: Tombstone) => Promise<void>,
): Promise<Outcome> {
  const confirmed: Tombstone[] = [];
  const failures: unknown[] = [];
  const waiting = tombstones.values();
  const work = async () => {
    for (const tombstone of waiting) {
      try {
        await act(tombstone);
        confirmed.push(tombstone);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: R2_CALLS_AT_ONCE_MAX }, work));
  return { confirmed, failures };
}
