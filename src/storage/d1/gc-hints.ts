import { type SQL, sql } from 'drizzle-orm';

import { precedingStatementWrote } from './conditions.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { repositoryGc } from './schema/garbage.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { defineStatement, type Parameters } from './statement.ts';

/**
 * When a repository will have something to collect, at the earliest. Whoever sets the end of a tag
 * or of a lease lowers the bound in the same batch; nobody but garbage collection raises it. Each
 * statement here stands directly after the one that may have set an end, and does nothing if that
 * one wrote nothing.
 */

type Bound = 'earliest_end_ms' | 'earliest_lease_ms';

/** A row is written only if it changes something: rows written are what D1 charges for. */
const lower = (bound: Bound, options: { repository: SQL; atMs: SQL; condition: SQL }): SQL => {
  const column = sql.raw(bound);
  return sql`
    INSERT INTO ${repositoryGc} (repository_id, policy_s, ${column})
    SELECT r.id, n.removed_tag_expiration_s, ${options.atMs}
    FROM ${options.repository} WHERE ${options.condition}
    ON CONFLICT (repository_id) DO UPDATE SET ${column} = excluded.${column}
    WHERE repository_gc.${column} IS NULL OR repository_gc.${column} > excluded.${column}`;
};

const repositoryById = (p: Parameters<{ repositoryId: number }>): SQL => sql`
    ${repository} r CROSS JOIN ${namespace} n
      ON r.id = ${p.repositoryId} AND n.id = r.namespace_id`;

const repositoryByName = (p: Parameters<RepositoryNameValues>): SQL => sql`
    ${namespace} n CROSS JOIN ${repository} r
      ON n.name = ${p.namespace} AND r.namespace_id = n.id AND r.name = ${p.repository}`;

/** After tags were ended, or a temporary one begun: the first of their ends. */
export const lowerEndHintStatement = defineStatement<{ repositoryId: number; atMs: number }>((p) =>
  lower('earliest_end_ms', {
    repository: repositoryById(p),
    atMs: sql`${p.atMs}`,
    condition: precedingStatementWrote,
  }),
);

/**
 * After the slot of a name was freed for a generation that ends so many ms after its start, or
 * never: the old generation, if there was one, ends now.
 */
export const lowerHintOnRetargetStatement = defineStatement<{
  repositoryId: number;
  nowMs: number;
  lifetimeMs: number | null;
}>((p) =>
  lower('earliest_end_ms', {
    repository: repositoryById(p),
    atMs: sql`CASE WHEN ${precedingStatementWrote} THEN ${p.nowMs}
      ELSE ${p.nowMs} + ${p.lifetimeMs} END`,
    condition: sql`(${precedingStatementWrote} OR ${p.lifetimeMs} IS NOT NULL)`,
  }),
);

/** After the tags of a manifest were given other ends: the first of them. */
export const lowerHintToEndsOfManifestStatement = defineStatement<{
  repositoryId: number;
  manifestId: number;
}>((p) =>
  lower('earliest_end_ms', {
    repository: repositoryById(p),
    atMs: sql`(SELECT min(t.lifetime_end_ms) FROM ${tag} t
      WHERE t.manifest_id = ${p.manifestId} AND t.is_current = 1 AND t.hidden = 0)`,
    condition: precedingStatementWrote,
  }),
);

/** After a lease that ends then was given. */
export const lowerLeaseHintStatement = defineStatement<{
  repositoryId: number;
  expiresMs: number;
}>((p) =>
  lower('earliest_lease_ms', {
    repository: repositoryById(p),
    atMs: sql`${p.expiresMs}`,
    condition: precedingStatementWrote,
  }),
);

/** The same by the repository's name. */
export const lowerLeaseHintByNameStatement = defineStatement<
  RepositoryNameValues & { expiresMs: number }
>((p) =>
  lower('earliest_lease_ms', {
    repository: repositoryByName(p),
    atMs: sql`${p.expiresMs}`,
    condition: precedingStatementWrote,
  }),
);
