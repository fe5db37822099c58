import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import type { Tag } from '../../model/datatypes.ts';
import { isAlive } from './conditions.ts';
import { type TagRow, manifestColumns, tagColumns, toTag } from './rows.ts';
import { manifest } from './schema/manifests.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * Pages of generations: start descending, then name ascending, then id descending. A page begins
 * after a position, which need not be a row, and leaves out so many rows more.
 *
 * Each range of an index is a subselect that stops at the page's end, and the ranges stand in the
 * order of the page, so that those which the page does not reach are never begun. The manifests are
 * joined after the page is cut: they are not read for what is left out.
 */

export type HistoryValues = {
  repositoryId: number;
  afterStartMs: number;
  afterName: string;
  afterId: number;
  /** Rows that started or end later only; it lies before all starts where all are wanted. */
  sinceMs: number;
  /** What the name holds, without regard to ASCII case; empty for any name. */
  nameHolds: string;
  offset: number;
  limit: number;
  nowMs: number;
};
type HistoryParameters = Parameters<HistoryValues>;

const nameHolds = (text: Placeholder): SQL => sql`instr(lower(g.name), lower(${text})) > 0`;

/** The row comes after the position. */
const isAfter = (p: HistoryParameters): SQL => sql`
  g.lifetime_start_ms <= ${p.afterStartMs} AND (g.lifetime_start_ms < ${p.afterStartMs}
    OR g.name > ${p.afterName} OR (g.name = ${p.afterName} AND g.id < ${p.afterId}))`;

/** Rows of one range of an index, in the order of the page, as many as it can have of them. */
const range = (
  p: HistoryParameters,
  { index, condition }: { index: string; condition: SQL },
): SQL => sql`
  SELECT * FROM (
    SELECT g.* FROM ${tag} g INDEXED BY ${sql.raw(index)}
    WHERE g.repository_id = ${p.repositoryId} AND g.hidden = 0 AND ${condition}
      AND ${nameHolds(p.nameHolds)}
    ORDER BY g.lifetime_start_ms DESC, g.name, g.id DESC LIMIT ${p.offset} + ${p.limit})`;

const page = (p: HistoryParameters, ranges: SQL[]): SQL => sql`
  SELECT ${tagColumns}, ${manifestColumns}
  FROM (${sql.join(ranges, sql` UNION ALL `)} LIMIT ${p.limit} OFFSET ${p.offset}) t
    CROSS JOIN ${manifest} m ON m.id = t.manifest_id`;

const defineHistory = <Values extends HistoryValues>(ranges: (p: Parameters<Values>) => SQL[]) =>
  defineStatement<Values, TagRow, Tag>((p) => page(p, ranges(p)), toTag);

/** Generations of all names; with `active` alive ones, with `since` those that changed since. */
const history = ({ active, since }: { active: boolean; since: boolean }) =>
  defineHistory((p: HistoryParameters) => {
    const index = active ? 'tag_current_history' : 'tag_history';
    const alive = active ? sql`${isAlive('g', p.nowMs)}` : sql`true`;
    const started = sql`${alive} AND g.lifetime_start_ms > ${p.sinceMs}`;
    // What an alive row will end by lies after now; without this all that ended would be read.
    const endsAfter = active ? sql`max(${p.sinceMs}, ${p.nowMs})` : sql`${p.sinceMs}`;
    const ended = sql`${alive} AND g.lifetime_end_ms > ${endsAfter}
      AND g.lifetime_start_ms <= ${p.sinceMs} AND ${isAfter(p)}`;
    return [
      {
        index,
        condition: sql`${started} AND g.lifetime_start_ms = ${p.afterStartMs}
          AND g.name >= ${p.afterName} AND (g.name > ${p.afterName} OR g.id < ${p.afterId})`,
      },
      { index, condition: sql`${started} AND g.lifetime_start_ms < ${p.afterStartMs}` },
      ...(since ? [{ index: 'tag_repo_end', condition: ended }] : []),
    ].map((each) => range(p, each));
  });

export const historyStatement = history({ active: false, since: false });
export const historySinceStatement = history({ active: false, since: true });
export const activeHistoryStatement = history({ active: true, since: false });
export const activeHistorySinceStatement = history({ active: true, since: true });

type NameHistoryValues = HistoryValues & { tagName: string };

const startedOrEndsSince = (p: HistoryParameters): SQL => sql`
  (g.lifetime_start_ms > ${p.sinceMs} OR g.lifetime_end_ms > ${p.sinceMs})`;

/**
 * Generations of one name. Of those that had started by `sinceMs` all but the newest had also ended
 * by then, since generations of a name follow each other: the range begins with that one.
 */
export const nameHistoryStatement = defineHistory((p: Parameters<NameHistoryValues>) => [
  range(p, {
    index: 'tag_name_history',
    condition: sql`g.name = ${p.tagName} AND ${isAfter(p)} AND ${startedOrEndsSince(p)}
      AND g.lifetime_start_ms >= coalesce((
        SELECT earlier.lifetime_start_ms FROM ${tag} earlier INDEXED BY tag_name_history
        WHERE earlier.repository_id = ${p.repositoryId} AND earlier.name = ${p.tagName}
          AND earlier.hidden = 0 AND earlier.lifetime_start_ms <= ${p.sinceMs}
        ORDER BY earlier.lifetime_start_ms DESC LIMIT 1), ${p.sinceMs})`,
  }),
]);

/** The alive generation of one name. */
export const activeNameHistoryStatement = defineHistory((p: Parameters<NameHistoryValues>) => [
  range(p, {
    index: 'tag_current_name',
    condition: sql`g.name = ${p.tagName} AND ${isAlive('g', p.nowMs)} AND ${isAfter(p)}
      AND ${startedOrEndsSince(p)}`,
  }),
]);
