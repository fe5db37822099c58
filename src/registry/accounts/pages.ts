import type { Page } from '../../model/datatypes.ts';
import { ACCOUNT_PAGE_SIZE_DEFAULT, ACCOUNT_PAGE_SIZE_MAX } from '../../model/limits.ts';

/** Which page of a list is wanted: 100 items by default, 1000 at most, after those of another. */
export interface PageOptions {
  /** What the page before gave as its cursor; null: the first. */
  readonly cursor?: string | null;
  readonly limit?: number;
}

/** Reads one row more than the page has, which says whether there are more. */
export async function readPage<Row>(
  { cursor = null, limit = ACCOUNT_PAGE_SIZE_DEFAULT }: PageOptions,
  cursorOf: (row: Row) => string,
  read: (after: string | null, limit: number) => Promise<readonly Row[]>,
): Promise<Page<Row>> {
  const size = Math.min(limit, ACCOUNT_PAGE_SIZE_MAX);
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new RangeError(`there is no page of ${size} items`);
  }
  const rows = await read(cursor, size + 1);
  const items = rows.slice(0, size);
  const last = items.at(-1);
  return last !== undefined && rows.length > size
    ? { items, hasMore: true, cursor: cursorOf(last) }
    : { items, hasMore: false };
}
