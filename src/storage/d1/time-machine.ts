import { type SQL, sql } from 'drizzle-orm';

import { isAlive } from './conditions.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';
import { deletableRow, type Slot, timedChildTags } from './tag-lifetimes.ts';

/**
 * Generations leave the time machine by having ended at its horizon: what ended then or before is
 * garbage. Such an end may lie before the start.
 */

type Generations = Slot & { manifestId: number; enforceImmutability: number };

/** `now` less the window of the namespace; NULL, so later than nothing, where no write succeeds. */
const horizon = (p: Parameters<Pick<Slot, 'repositoryId' | 'nowMs'>>): SQL => sql`(
    SELECT ${p.nowMs} - n.removed_tag_expiration_s * 1000
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE r.id = ${p.repositoryId} AND r.state <> 3)`;

const aliveGeneration = (p: Parameters<Generations>, alias: string): SQL =>
  sql`${deletableRow(p, alias)} AND ${sql.raw(alias)}.manifest_id = ${p.manifestId}
    AND ${horizon(p)} IS NOT NULL`;

/** Ended is what is not alive, so also what was ended by a clock that is ahead of this one. */
const endedGenerations = (p: Parameters<Generations>, alias: string): SQL => {
  const t = sql.raw(alias);
  return sql`${t}.repository_id = ${p.repositoryId} AND ${t}.name = ${p.tagName}
    AND ${t}.hidden = 0 AND ${t}.manifest_id = ${p.manifestId}
    AND ${t}.lifetime_end_ms > ${horizon(p)} AND NOT (${isAlive(alias, p.nowMs)})
    AND (${t}.immutable = 0 OR NOT ${p.enforceImmutability})`;
};

/** Takes the alive generation of a name out, if it is on the manifest; a row says that it was. */
export const removeAliveGenerationStatement = defineStatement<Generations, { tagId: number }>(
  (p) => sql`
    UPDATE ${tag} INDEXED BY tag_current_name SET is_current = 0, lifetime_end_ms = ${horizon(p)}
    WHERE ${aliveGeneration(p, 'tag')} RETURNING id AS tagId`,
);

/** Takes the ended generations of a name on the manifest out, those within the window. */
export const removeEndedGenerationsStatement = defineStatement<Generations, { tagId: number }>(
  (p) => sql`
    UPDATE ${tag} INDEXED BY tag_name_history SET is_current = 0, lifetime_end_ms = ${horizon(p)}
    WHERE ${endedGenerations(p, 'tag')} RETURNING id AS tagId`,
);

const removeChildTags = (p: Parameters<Generations>, generations: SQL): SQL => sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms = ${horizon(p)}
    WHERE ${timedChildTags(horizon(p), sql`SELECT ${p.manifestId} AS id`)}
      AND EXISTS (SELECT 1 FROM ${tag} t INDEXED BY ${generations})`;

/** Takes the temporary tags of the manifest's children out; before the alive generation is. */
export const removeChildTagsOfAliveStatement = defineStatement<Generations>((p) =>
  removeChildTags(p, sql`tag_current_name WHERE ${aliveGeneration(p, 't')}`),
);

/** The same before the ended generations are. */
export const removeChildTagsOfEndedStatement = defineStatement<Generations>((p) =>
  removeChildTags(p, sql`tag_name_history WHERE ${endedGenerations(p, 't')}`),
);

/** A generation of the name on the manifest that ended at this very horizon, whoever saw to it. */
export const removedGenerationStatement = defineStatement<
  Omit<Generations, 'enforceImmutability'>,
  { tagId: number }
>(
  (p) => sql`
    SELECT t.id AS tagId FROM ${tag} t INDEXED BY tag_name_history
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.hidden = 0
      AND t.manifest_id = ${p.manifestId} AND t.is_current = 0
      AND t.lifetime_end_ms = ${horizon(p)} LIMIT 1`,
);
