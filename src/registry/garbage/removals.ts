import type { Page } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { REMOVAL_PAGE_SIZE_DEFAULT, REMOVAL_PAGE_SIZE_MAX } from '../../model/limits.ts';
import type { TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import {
  type Removal,
  removalsOfManifestStatement,
  removalsOfTagStatement,
  removalsStatement,
  type RemovalsValues,
} from '../../storage/d1/removals.ts';
import type { RegistryDeps } from '../deps.ts';

export type { Removal } from '../../storage/d1/removals.ts';

interface RemovalFilter {
  /** Of this manifest only: itself, and the tags that pointed to it. */
  readonly digest?: Digest;
  /** Of the tag of this name only. */
  readonly tagName?: TagName;
}

/** Tells what garbage collection removed. */
export interface RemovalReads {
  /**
   * The tags and manifests that a repository lost to garbage collection, the last first. Temporary
   * tags are not among them, nor blobs, which belong to no repository; records older than
   * 90 days are forgotten. Nothing for a repository that is gone or being deleted.
   *
   * A page has 100 of them by default, 1000 at most; `cursor` is where the next one begins.
   *
   * Errors: InvalidFilter (not a cursor of this method).
   */
  listRemovals(
    repository: RepositoryRef,
    options?: RemovalFilter & { readonly cursor?: string | null; readonly limit?: number },
  ): Promise<Page<Removal>>;
}

export function createRemovalReads({ database }: RegistryDeps): RemovalReads {
  return {
    async listRemovals({ id: repositoryId }, { cursor = null, limit, ...filter } = {}) {
      const size = Math.min(limit ?? REMOVAL_PAGE_SIZE_DEFAULT, REMOVAL_PAGE_SIZE_MAX);
      if (!Number.isSafeInteger(size) || size < 1) {
        throw new RangeError(`there is no page of ${size} removals`);
      }
      const values = { repositoryId, beforeId: parseCursor(cursor), limit: size + 1 };
      // Nothing is an answer here, so a copy that lags would give a wrong one.
      const rows = await database.primary.all(chooseStatement(values, filter));
      const page = rows.slice(0, size);
      const last = page.at(-1);
      const items = page.map(({ removal }) => removal);
      return last !== undefined && rows.length > size
        ? { items, hasMore: true, cursor: String(last.id) }
        : { items, hasMore: false };
    },
  };
}

function chooseStatement(values: RemovalsValues, { digest, tagName }: RemovalFilter) {
  if (digest !== undefined) {
    return removalsOfManifestStatement({ ...values, digest, tagName: tagName ?? null });
  }
  return tagName === undefined
    ? removalsStatement(values)
    : removalsOfTagStatement({ ...values, tagName });
}

/** A cursor is the id of the record that the page before ended with. */
function parseCursor(cursor: string | null): number {
  if (cursor !== null && !/^\d{1,15}$/.test(cursor)) {
    throw new RegistryError('InvalidFilter', { parameter: 'cursor' });
  }
  return cursor === null ? Number.MAX_SAFE_INTEGER : Number(cursor);
}
