import { type SQL, sql } from 'drizzle-orm';

import { isAlive, isSignatureName } from './conditions.ts';
import { manifest } from './schema/manifests.ts';
import { repository } from './schema/repositories.ts';
import { namespaceRetentionPolicy, repositoryRetentionPolicy } from './schema/retention.ts';
import { tag } from './schema/tags.ts';
import { defineStatement, type Parameters } from './statement.ts';
import { cascade, endAt, endTimedChildTags } from './tag-lifetimes.ts';

type Moment = { repositoryId: number; nowMs: number; enforceImmutability: number };

/** An alive visible tag that may be ended; what cosign tagged ends with what it belongs to. */
export interface RetainableTag {
  readonly tagId: number;
  readonly tagName: string;
  readonly lifetimeStartMs: number;
}

/** Tags that a policy may end, the newest first, after one of them. */
export const retainableTagsStatement = defineStatement<
  Moment & { afterStartMs: number; afterName: string; limit: number },
  RetainableTag
>((p) => {
  const part = (position: SQL, order: SQL): SQL => sql`
    SELECT * FROM (
      SELECT t.id AS tagId, t.name AS tagName, t.lifetime_start_ms AS lifetimeStartMs
      FROM ${tag} t INDEXED BY tag_current_history
      WHERE t.repository_id = ${p.repositoryId} AND ${position} AND t.hidden = 0
        AND ${isAlive('t', p.nowMs)} AND (t.immutable = 0 OR NOT ${p.enforceImmutability})
        AND NOT ${isSignatureName(sql.raw('t.name'))}
      ORDER BY ${order} LIMIT ${p.limit})`;
  const rest = part(
    sql`t.lifetime_start_ms = ${p.afterStartMs} AND t.name > ${p.afterName}`,
    sql`t.name`,
  );
  const older = part(
    sql`t.lifetime_start_ms < ${p.afterStartMs}`,
    sql`t.lifetime_start_ms DESC, t.name`,
  );
  return sql`${rest} UNION ALL ${older} LIMIT ${p.limit}`;
});

/** `tags` is a JSON list of `[tag id, policy uuid, policy revision]`. */
type Ending = Moment & { tags: string };

/** The policy of a listed tag is there, and it is the one that was read. */
const stands = (policy: SQL): SQL => sql`EXISTS (SELECT 1 FROM ${policy} policy
      WHERE policy.uuid = json_extract(listed.value, '$[1]')
        AND policy.revision = json_extract(listed.value, '$[2]'))`;

/**
 * Those of a list that are still what they were when it was made: the same generation, alive, not
 * locked, and under the policy that ends them.
 */
const endable = (p: Parameters<Ending>): SQL => sql`
      SELECT t.id AS id, t.manifest_id AS manifest_id
      FROM json_each(${p.tags}) listed
        CROSS JOIN ${tag} t ON t.id = json_extract(listed.value, '$[0]')
      WHERE t.repository_id = ${p.repositoryId} AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
        AND (t.immutable = 0 OR NOT ${p.enforceImmutability})
        AND EXISTS (SELECT 1 FROM ${repository} r WHERE r.id = ${p.repositoryId} AND r.state = 0)
        AND (${stands(sql`${repositoryRetentionPolicy}`)}
          OR ${stands(sql`${namespaceRetentionPolicy}`)})`;

/** Ends what cosign tagged after manifests whose last ordinary tags are about to end. */
export const cascadeOnRetentionStatement = defineStatement<Ending>((p) =>
  cascade(p, {
    manifests: sql`(${endable(p)}) t CROSS JOIN ${manifest} m ON m.id = t.manifest_id`,
    isLeft: sql`NOT EXISTS (
        SELECT 1 FROM ${tag} other
        WHERE other.manifest_id = t.manifest_id AND other.hidden = 0 AND other.id <> sibling.id
          AND ${isAlive('other', p.nowMs)} AND NOT ${isSignatureName(sql.raw('other.name'))}
          AND other.id NOT IN (SELECT ended.id FROM (${endable(p)}) ended))`,
  }),
);

/** Ends the temporary tags of the children of what is about to end. */
export const endChildTagsOnRetentionStatement = defineStatement<Ending>((p) =>
  endTimedChildTags(p.nowMs, sql`SELECT ended.manifest_id AS id FROM (${endable(p)}) ended`),
);

/** Ends them; stands last, for the others look at what it ends. */
export const endRetainedTagsStatement = defineStatement<Ending, { tagId: number }>(
  (p) => sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms = ${endAt(p.nowMs)}
    WHERE id IN (SELECT ended.id FROM (${endable(p)}) ended) RETURNING id AS tagId`,
);
