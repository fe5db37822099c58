import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import type { RepositoryRef } from '../../model/references.ts';
import { precedingStatementWrote } from './conditions.ts';
import { pullHoldEnd } from './pull-holds.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { type RepositoryRow, repositoryColumns, toRepositoryRef } from './rows.ts';
import { uploadedBlob } from './schema/blobs.ts';
import { repositoryGc } from './schema/garbage.ts';
import { manifest } from './schema/manifests.ts';
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

/** After a manifest that was pulled then was held: the end that a new hold of it has. */
export const lowerHintToPullHoldStatement = defineStatement<{
  manifestId: number;
  pulledMs: number;
}>((p) =>
  lower('earliest_end_ms', {
    repository: sql`${manifest} m CROSS JOIN ${repository} r
      ON m.id = ${p.manifestId} AND r.id = m.repository_id
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id`,
    atMs: pullHoldEnd(p.pulledMs),
    condition: precedingStatementWrote,
  }),
);

/** After tags were taken out of the time machine: they are garbage as of now. */
export const lowerHintToHorizonStatement = defineStatement<{ repositoryId: number; nowMs: number }>(
  (p) =>
    lower('earliest_end_ms', {
      repository: repositoryById(p),
      atMs: sql`${p.nowMs} - n.removed_tag_expiration_s * 1000`,
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

/**
 * What the two bounds of `repository r` in `namespace n` may be at most. What may not be collected
 * counts for nothing: locked generations unless `lockedMayGo`, and all of a namespace that is
 * disabled or of a repository that is being deleted.
 */
export const firstCollectableEnd = (lockedMayGo: Placeholder): SQL => sql`
      (SELECT t.lifetime_end_ms FROM ${tag} t INDEXED BY tag_repo_end
        WHERE t.repository_id = r.id AND t.lifetime_end_ms IS NOT NULL
          AND (t.immutable = 0 OR ${lockedMayGo}) AND n.enabled = 1 AND r.state <> 3
        ORDER BY t.lifetime_end_ms LIMIT 1)`;
export const firstCollectableLeaseEnd: SQL = sql`
      (SELECT lease.expires_ms FROM ${uploadedBlob} lease INDEXED BY uploaded_blob_expiry
        WHERE lease.repository_id = r.id AND n.enabled = 1 AND r.state <> 3
        ORDER BY lease.expires_ms LIMIT 1)`;

/**
 * Computes both bounds of a repository anew, after what could be collected was. If they counted what
 * may not be collected, every run would visit the repository in vain.
 */
export const settleHintStatement = defineStatement<{ repositoryId: number; lockedMayGo: number }>(
  (p) => sql`
    UPDATE ${repositoryGc} SET (policy_s, earliest_end_ms, earliest_lease_ms) = (
      SELECT n.removed_tag_expiration_s, ${firstCollectableEnd(p.lockedMayGo)},
        ${firstCollectableLeaseEnd}
      FROM ${repositoryById(p)})
    WHERE repository_id = ${p.repositoryId}`,
);

/**
 * The same for all repositories of a namespace, if the statement before this one opened it: what
 * was not collected while it was closed is due again.
 */
export const settleHintsOfNamespaceStatement = defineStatement<{
  namespace: string;
  lockedMayGo: number;
}>(
  (p) => sql`
    UPDATE ${repositoryGc} SET (policy_s, earliest_end_ms, earliest_lease_ms) = (
      SELECT n.removed_tag_expiration_s, ${firstCollectableEnd(p.lockedMayGo)},
        ${firstCollectableLeaseEnd}
      FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
      WHERE r.id = repository_gc.repository_id)
    WHERE ${precedingStatementWrote} AND repository_id IN (
      SELECT r.id FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
      WHERE n.name = ${p.namespace} AND r.state <> 3)`,
);

/** The windows that there are hints for, in random order; stepped through, for many share one. */
export const windowsStatement = defineStatement<{ limit: number }, { windowSec: number }>(
  (p) => sql`
    WITH RECURSIVE step(window_s) AS (
      SELECT min(g.policy_s) FROM ${repositoryGc} g
      UNION ALL
      SELECT (SELECT min(g.policy_s) FROM ${repositoryGc} g WHERE g.policy_s > step.window_s)
      FROM step WHERE step.window_s IS NOT NULL LIMIT ${p.limit})
    SELECT window_s AS windowSec FROM step WHERE window_s IS NOT NULL ORDER BY random()`,
);

/** One, drawn from the first `limit`, of the repositories of a window whose hint is due. */
export const repositoryWithDueEndStatement = defineStatement<
  { windowSec: number; nowMs: number; limit: number },
  { repositoryId: number }
>(
  (p) => sql`
    SELECT due.repository_id AS repositoryId FROM (
      SELECT g.repository_id FROM ${repositoryGc} g INDEXED BY repository_gc_policy
      WHERE g.policy_s = ${p.windowSec} AND g.earliest_end_ms <= ${p.nowMs} - 1000 * ${p.windowSec}
      LIMIT ${p.limit}) due
    ORDER BY random() LIMIT 1`,
);

/** One, drawn from the first `limit`, of the repositories that may have a lease that is over. */
export const repositoryWithDueLeaseStatement = defineStatement<
  { nowMs: number; limit: number },
  { repositoryId: number }
>(
  (p) => sql`
    SELECT due.repository_id AS repositoryId FROM (
      SELECT g.repository_id FROM ${repositoryGc} g INDEXED BY repository_gc_lease
      WHERE g.earliest_lease_ms <= ${p.nowMs} LIMIT ${p.limit}) due
    ORDER BY random() LIMIT 1`,
);

/**
 * One, drawn from the first `limit`, of the repositories that have a tag beyond recovery: their
 * window is this one, their namespace is enabled, and they are not being deleted themselves.
 */
export const repositoryWithGarbageStatement = defineStatement<
  { windowSec: number; nowMs: number; lockedMayGo: number; limit: number },
  RepositoryRow,
  RepositoryRef
>(
  (p) => sql`
    SELECT ${repositoryColumns} FROM (
      SELECT g.repository_id AS id FROM ${repositoryGc} g INDEXED BY repository_gc_policy
        CROSS JOIN ${repository} held ON held.id = g.repository_id AND held.state <> 3
        CROSS JOIN ${namespace} owner ON owner.id = held.namespace_id AND owner.enabled = 1
          AND owner.removed_tag_expiration_s = ${p.windowSec}
      WHERE g.policy_s = ${p.windowSec} AND g.earliest_end_ms <= ${p.nowMs} - 1000 * ${p.windowSec}
        AND EXISTS (SELECT 1 FROM ${tag} t INDEXED BY tag_repo_end
          WHERE t.repository_id = g.repository_id
            AND t.lifetime_end_ms <= ${p.nowMs} - 1000 * ${p.windowSec}
            AND (t.immutable = 0 OR ${p.lockedMayGo}))
      LIMIT ${p.limit}) garbage
      CROSS JOIN ${repository} r ON r.id = garbage.id
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    ORDER BY random() LIMIT 1`,
  toRepositoryRef,
);
