import type { Page, Tag } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { HISTORY_PAGE_SIZE_DEFAULT } from '../../model/limits.ts';
import { parseTagName } from '../../model/names.ts';
import type { Statement } from '../../storage/d1/statement.ts';
import {
  activeHistorySinceStatement,
  activeHistoryStatement,
  activeNameHistoryStatement,
  historySinceStatement,
  historyStatement,
  type HistoryValues,
  nameHistoryStatement,
} from '../../storage/d1/tag-history.ts';
import type { RegistryDeps } from '../deps.ts';
import type { TagReads } from '../interface.ts';

type HistoryOptions = NonNullable<Parameters<TagReads['listRepositoryTagHistory']>[1]>;

/** Lists the generations of tags. */
export function createTagHistory({
  database,
  clock,
}: RegistryDeps): Pick<TagReads, 'listRepositoryTagHistory'> {
  return {
    async listRepositoryTagHistory({ id: repositoryId }, options = {}) {
      const { page = 1, size = HISTORY_PAGE_SIZE_DEFAULT } = options;
      if (![page, size, size * page].every((count) => Number.isSafeInteger(count) && count > 0)) {
        throw new RangeError(`there is no page ${page} of ${size} generations`);
      }
      const { cursor, sinceMs, filterTagName } = options;
      const filter = filterTagName === undefined ? {} : parseFilter(filterTagName);
      const values = {
        ...(cursor === undefined ? BEFORE_ALL : parseCursor(cursor)),
        repositoryId,
        sinceMs: sinceMs ?? Number.MIN_SAFE_INTEGER,
        nameHolds: filter.like ?? '',
        offset: size * (page - 1),
        limit: size + 1,
        nowMs: clock.nowMs(),
      };
      const statement = chooseStatement(values, { ...options, equalTo: filter.eq });
      // A rollback decides by what it reads here, and an empty page is an answer.
      const rows = statement === null ? [] : await database.primary.all(statement);
      return cutPage(rows, size);
    },
  };
}

/** The narrowest statement for what is asked; null if nothing can have two names. */
function chooseStatement(
  values: HistoryValues,
  options: HistoryOptions & { readonly equalTo: string | undefined },
): Statement<Tag> | null {
  const { specificTagName, equalTo, activeTagsOnly = false, sinceMs } = options;
  const tagName = specificTagName ?? equalTo;
  if (tagName !== undefined) {
    const ofName = activeTagsOnly ? activeNameHistoryStatement : nameHistoryStatement;
    return (equalTo ?? tagName) === tagName ? ofName({ ...values, tagName }) : null;
  }
  if (sinceMs === undefined) {
    return (activeTagsOnly ? activeHistoryStatement : historyStatement)(values);
  }
  return (activeTagsOnly ? activeHistorySinceStatement : historySinceStatement)(values);
}

function cutPage(rows: readonly Tag[], size: number): Page<Tag> {
  const items = rows.slice(0, size);
  const last = items.at(-1);
  return last !== undefined && rows.length > size
    ? { items, hasMore: true, cursor: formatCursor(last) }
    : { items, hasMore: false };
}

const FILTER = /^(eq|like):(.*)$/s;

/** `eq:<name>` or `like:<text>`. */
function parseFilter(text: string): { readonly eq?: string; readonly like?: string } {
  const [, operator, operand = ''] = FILTER.exec(text) ?? [];
  if (operator === undefined) {
    throw new RegistryError('InvalidFilter', { parameter: 'filterTagName' });
  }
  return operator === 'eq' ? { eq: operand } : { like: operand };
}

/** A place between rows; what it is made of is never changed on a row, and the row may go. */
type Position = Pick<HistoryValues, 'afterStartMs' | 'afterName' | 'afterId'>;

const BEFORE_ALL: Position = {
  afterStartMs: Number.MAX_SAFE_INTEGER,
  afterName: '',
  afterId: Number.MAX_SAFE_INTEGER,
};

const CURSOR = /^(\d{1,16})-(\d{1,16})-(.+)$/;

/** The position after a generation. It says nothing of the filters, and so goes with any. */
function formatCursor({ lifetimeStartMs, id, name }: Tag): string {
  return `${lifetimeStartMs}-${id}-${name}`;
}

function parseCursor(cursor: string): Position {
  const [, start, id, name = ''] = CURSOR.exec(cursor) ?? [];
  const [afterStartMs, afterId] = [Number(start), Number(id)];
  const afterName = parseTagName(name);
  if (!Number.isSafeInteger(afterStartMs) || !Number.isSafeInteger(afterId) || afterName === null) {
    throw new RegistryError('InvalidFilter', { parameter: 'cursor' });
  }
  return { afterStartMs, afterId, afterName };
}
