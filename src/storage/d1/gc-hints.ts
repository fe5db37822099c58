import { type SQL, sql } from 'drizzle-orm';

import { isAlive } from './conditions.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { blob, uploadedBlob } from './schema/blobs.ts';
import { repositoryGc } from './schema/garbage.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * When a repository will have something to collect, at the earliest. Whoever sets the end of a tag
 * or of a lease lowers the bound in the same batch; nobody but garbage collection raises it.
 */

type Bound = 'earliest_end_ms' | 'earliest_lease_ms';

/** A row is written only if it changes something: rows written are what D1 charges for. */
const lower = (bound: Bound, options: { repository: SQL; atMs: SQL; condition: SQL }): SQL => {
  const column = sql.raw(bound);
  return sql`
    INSERT INTO ${repositoryGc} (repository_id, policy_s, ${column})
    SELECT r.id, n.removed_tag_expiration_s, ${options.atMs}
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE ${options.repository} AND ${options.condition}
    ON CONFLICT (repository_id) DO UPDATE SET ${column} = excluded.${column}
    WHERE repository_gc.${column} IS NULL OR repository_gc.${column} > excluded.${column}`;
};

type Slot = { repositoryId: number; tagName: string; nowMs: number };

const slotIsTaken = (p: Parameters<Slot>): SQL => sql`EXISTS (
      SELECT 1 FROM ${tag} t INDEXED BY tag_current_name
      WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.is_current = 1)`;

/**
 * Before a new generation begins: the old one, if any, ends now, and the new one ends so many ms
 * after its start at the earliest.
 */
export const lowerHintOnRetargetStatement = defineStatement<Slot & { lifetimeMs: number | null }>(
  (p) =>
    lower('earliest_end_ms', {
      repository: sql`r.id = ${p.repositoryId}`,
      atMs: sql`CASE WHEN ${slotIsTaken(p)} THEN ${p.nowMs} ELSE ${p.nowMs} + ${p.lifetimeMs} END`,
      condition: sql`(${p.lifetimeMs} IS NOT NULL OR ${slotIsTaken(p)})`,
    }),
);

/** Before the alive tag of a name is deleted. */
export const lowerHintOnDeleteStatement = defineStatement<Slot>((p) =>
  lower('earliest_end_ms', {
    repository: sql`r.id = ${p.repositoryId}`,
    atMs: sql`${p.nowMs}`,
    condition: slotIsTaken(p),
  }),
);

/** Before all alive tags of a manifest are ended. */
export const lowerHintOnManifestDeleteStatement = defineStatement<{
  repositoryId: number;
  manifestId: number;
  nowMs: number;
}>((p) =>
  lower('earliest_end_ms', {
    repository: sql`r.id = ${p.repositoryId}`,
    atMs: sql`${p.nowMs}`,
    condition: sql`EXISTS (SELECT 1 FROM ${tag} t
      WHERE t.manifest_id = ${p.manifestId} AND ${isAlive('t', p.nowMs)})`,
  }),
);

/** After a timed hidden tag of this name may have been begun. */
export const lowerHintOnTempTagStatement = defineStatement<{
  repositoryId: number;
  tagName: string;
  endMs: number | null;
}>((p) =>
  lower('earliest_end_ms', {
    repository: sql`r.id = ${p.repositoryId}`,
    atMs: sql`${p.endMs}`,
    condition: sql`${p.endMs} IS NOT NULL AND EXISTS (
      SELECT 1 FROM ${tag} t INDEXED BY tag_current_name
      WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.is_current = 1)`,
  }),
);

/** The blob is leased to the repository until exactly then. */
const isLeasedUntil = (p: Parameters<{ digest: string; expiresMs: number }>): SQL => sql`EXISTS (
      SELECT 1 FROM ${blob} b CROSS JOIN ${uploadedBlob} lease
        ON lease.blob_id = b.id AND lease.repository_id = r.id
      WHERE b.digest = ${p.digest} AND lease.expires_ms = ${p.expiresMs})`;

/** After a lease that ends then may have been given. */
export const lowerLeaseHintStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  expiresMs: number;
}>((p) =>
  lower('earliest_lease_ms', {
    repository: sql`r.id = ${p.repositoryId}`,
    atMs: sql`${p.expiresMs}`,
    condition: isLeasedUntil(p),
  }),
);

/** The same by the repository's name. */
export const lowerLeaseHintByNameStatement = defineStatement<
  RepositoryNameValues & { digest: string; expiresMs: number }
>((p) =>
  lower('earliest_lease_ms', {
    repository: sql`n.name = ${p.namespace} AND r.name = ${p.repository}`,
    atMs: sql`${p.expiresMs}`,
    condition: isLeasedUntil(p),
  }),
);
