import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import type { Quota } from '../../model/quota.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { blob, manifestBlob } from './schema/blobs.ts';
import { manifest } from './schema/manifests.ts';
import { namespaceQuota, quotaNamespaceSize, quotaRepositorySize } from './schema/quota.ts';
import { namespace, repository } from './schema/repositories.ts';
import { blobUpload } from './schema/uploads.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * What namespaces may hold, and what they and their repositories do: the sizes of the distinct blobs
 * that their manifests link, but the empty layer, which everybody shares. Only where there is a
 * quota: whatever adds or takes links brings the sizes on in the same batch, by statements that do
 * nothing elsewhere.
 */

/**
 * A row if there is a quota at all. What pushes and collection ask begins here, and where nobody has
 * a quota it ends here: as a condition it would be looked at too late.
 */
const ANY_QUOTA: SQL = sql`(SELECT 1 FROM ${namespaceQuota} any_quota
      WHERE any_quota.namespace_id > 0 LIMIT 1) some_quota CROSS JOIN`;

const isCounted = (blobAlias: string): SQL =>
  sql`${sql.raw(blobAlias)}.digest <> ${sql.raw(`'${EMPTY_BLOB_DIGEST}'`)}`;

/** Where a blob is looked for; `outside` leaves out the links of these manifests. */
interface Linking {
  readonly blobId: SQL;
  readonly outside?: SQL;
}

const outsideOf = (linkAlias: string, manifests: SQL | undefined): SQL =>
  manifests === undefined
    ? sql``
    : sql`AND ${sql.raw(linkAlias)}.manifest_id NOT IN (${manifests})`;

const isLinkedInRepository = (repositoryId: SQL, { blobId, outside }: Linking): SQL => sql`
      EXISTS (SELECT 1 FROM ${manifestBlob} own
        WHERE own.blob_id = ${blobId} AND own.repository_id = ${repositoryId}
          ${outsideOf('own', outside)})`;

/**
 * Some repository of the namespace links the blob. The repositories that link it are stepped
 * through: a base layer may have thousands of links in one.
 */
const isLinkedInNamespace = (namespaceId: SQL, { blobId, outside }: Linking): SQL => sql`
      EXISTS (
        WITH RECURSIVE linking(repository_id) AS (
          SELECT min(link.repository_id) FROM ${manifestBlob} link WHERE link.blob_id = ${blobId}
          UNION ALL
          SELECT (SELECT min(link.repository_id) FROM ${manifestBlob} link
            WHERE link.blob_id = ${blobId} AND link.repository_id > linking.repository_id)
          FROM linking WHERE linking.repository_id IS NOT NULL)
        SELECT 1 FROM linking CROSS JOIN ${repository} held ON held.id = linking.repository_id
          CROSS JOIN ${manifestBlob} other
            ON other.blob_id = ${blobId} AND other.repository_id = held.id
        WHERE held.namespace_id = ${namespaceId} ${outsideOf('other', outside)})`;

interface QuotaRow {
  limitBytes: number;
  warningPercent: number | null;
  rejectPercent: number | null;
  usedBytes: number;
}

/** Of `namespace_quota q` joined with `quota_namespace_size held`. */
const quotaColumns: SQL = sql.raw(`q.limit_bytes AS limitBytes,
      q.warning_percent AS warningPercent, q.reject_percent AS rejectPercent,
      held.size_bytes AS usedBytes`);

/** The quota `q` of a namespace and what it holds, `held`. */
export const quotaOf = (namespaceId: SQL): SQL => sql`
      CROSS JOIN ${namespaceQuota} q ON q.namespace_id = ${namespaceId}
      CROSS JOIN ${quotaNamespaceSize} held ON held.namespace_id = q.namespace_id`;

type Named = { namespace: string };

/** The quota of a namespace and what it holds; no row for one without. */
export const quotaStatement = defineStatement<Named, QuotaRow, Quota>(
  (p) => sql`
    SELECT ${quotaColumns} FROM ${namespace} n ${quotaOf(sql`n.id`)}
    WHERE n.name = ${p.namespace}`,
);

/** What a repository holds; no row if its namespace has no quota. */
export const repositorySizeStatement = defineStatement<
  { repositoryId: number },
  { sizeBytes: number }
>(
  (p) => sql`
    SELECT coalesce((SELECT own.size_bytes FROM ${quotaRepositorySize} own
      WHERE own.repository_id = r.id), 0) AS sizeBytes
    FROM ${repository} r CROSS JOIN ${namespaceQuota} q ON q.namespace_id = r.namespace_id
    WHERE r.id = ${p.repositoryId}`,
);

/** Sets the quota of a namespace, or its limits if it has one. */
export const setQuotaStatement = defineStatement<
  Named & { limitBytes: number; warningPercent: number | null; rejectPercent: number | null }
>(
  (p) => sql`
    INSERT INTO ${namespaceQuota} (namespace_id, limit_bytes, warning_percent, reject_percent)
    SELECT n.id, ${p.limitBytes}, ${p.warningPercent}, ${p.rejectPercent} FROM ${namespace} n
    WHERE n.name = ${p.namespace}
    ON CONFLICT (namespace_id) DO UPDATE SET limit_bytes = excluded.limit_bytes,
      warning_percent = excluded.warning_percent, reject_percent = excluded.reject_percent`,
);

/** A namespace that was not counted yet. */
const uncounted = (p: Parameters<Named>): SQL => sql`n.name = ${p.namespace}
      AND NOT EXISTS (SELECT 1 FROM ${quotaNamespaceSize} counted
        WHERE counted.namespace_id = n.id)`;

/** All links of a namespace, by its manifests: no index of them begins with the repository. */
const linksOf = (namespaceAlias: string): SQL => sql`
      CROSS JOIN ${repository} r ON r.namespace_id = ${sql.raw(namespaceAlias)}.id
      CROSS JOIN ${manifest} m ON m.repository_id = r.id
      CROSS JOIN ${manifestBlob} link ON link.manifest_id = m.id`;

/** Counts the repositories of a namespace that gets a quota; stands before the one below. */
export const countRepositoriesStatement = defineStatement<Named>(
  (p) => sql`
    INSERT INTO ${quotaRepositorySize} (repository_id, size_bytes)
    SELECT linked.repository_id, sum(b.size_bytes)
    FROM (SELECT DISTINCT r.id AS repository_id, link.blob_id AS blob_id
        FROM ${namespace} n ${linksOf('n')} WHERE ${uncounted(p)}) linked
      CROSS JOIN ${blob} b ON b.id = linked.blob_id
    WHERE ${isCounted('b')} GROUP BY linked.repository_id`,
);

/** Counts a namespace that gets a quota. */
export const countNamespaceStatement = defineStatement<Named>(
  (p) => sql`
    INSERT INTO ${quotaNamespaceSize} (namespace_id, size_bytes)
    SELECT n.id, (SELECT coalesce(sum(b.size_bytes), 0)
      FROM (SELECT DISTINCT link.blob_id AS blob_id
          FROM (SELECT n.id AS id) owner ${linksOf('owner')}) linked
        CROSS JOIN ${blob} b ON b.id = linked.blob_id
      WHERE ${isCounted('b')})
    FROM ${namespace} n WHERE ${uncounted(p)}`,
);

/** Forgets what the repositories of a namespace hold; stands before the two below. */
export const forgetRepositorySizesStatement = defineStatement<Named>(
  (p) => sql`
    DELETE FROM ${quotaRepositorySize} WHERE repository_id IN (
      SELECT r.id FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
      WHERE n.name = ${p.namespace})`,
);

export const forgetNamespaceSizeStatement = defineStatement<Named>(
  (p) => sql`
    DELETE FROM ${quotaNamespaceSize} WHERE namespace_id IN (
      SELECT n.id FROM ${namespace} n WHERE n.name = ${p.namespace})`,
);

/** Takes the quota away; a row comes back if there was one. */
export const deleteQuotaStatement = defineStatement<Named, { namespaceId: number }>(
  (p) => sql`
    DELETE FROM ${namespaceQuota} WHERE namespace_id IN (
      SELECT n.id FROM ${namespace} n WHERE n.name = ${p.namespace})
    RETURNING namespace_id AS namespaceId`,
);

/** A quota as the push of a manifest finds it. */
export interface PushQuota extends Quota {
  /** The bytes of those of the manifest's blobs that the namespace does not hold yet. */
  readonly addedBytes: number;
}

/** A manifest of a repository that is about to be linked to a JSON list of blobs. */
type Pushed = { repositoryId: number; blobDigests: string };

/** The bytes of those of the blobs that are not linked yet; a list names each blob once. */
const addedBytes = (p: Parameters<Pushed>, isLinked: SQL): SQL => sql`
      (SELECT coalesce(sum(b.size_bytes), 0) FROM ${blob} b
        WHERE b.digest IN (SELECT value FROM json_each(${p.blobDigests}))
          AND ${isCounted('b')} AND NOT ${isLinked})`;

const addedToRepository = (p: Parameters<Pushed>): SQL =>
  addedBytes(p, isLinkedInRepository(sql`r.id`, { blobId: sql`b.id` }));

/** Most blobs of a push are new to everybody; of the others most are in the own repository. */
const addedToNamespace = (p: Parameters<Pushed>): SQL =>
  addedBytes(
    p,
    sql`CASE WHEN NOT EXISTS (SELECT 1 FROM ${manifestBlob} any_link WHERE any_link.blob_id = b.id)
      THEN 0 WHEN ${isLinkedInRepository(sql`r.id`, { blobId: sql`b.id` })}
      THEN 1 ELSE ${isLinkedInNamespace(sql`r.namespace_id`, { blobId: sql`b.id` })} END`,
  );

/** The quota that the push of a manifest comes under, if any. */
export const pushQuotaStatement = defineStatement<
  Pushed,
  QuotaRow & { addedBytes: number },
  PushQuota
>(
  (p) => sql`
    SELECT ${quotaColumns}, ${addedToNamespace(p)} AS addedBytes
    FROM ${ANY_QUOTA} ${repository} r ${quotaOf(sql`r.namespace_id`)}
    WHERE r.id = ${p.repositoryId}`,
);

/** Adds what a push is about to link to its repository's size; before the links are there. */
export const addToRepositorySizeStatement = defineStatement<Pushed>(
  (p) => sql`
    INSERT INTO ${quotaRepositorySize} (repository_id, size_bytes)
    SELECT pushed.repository_id, pushed.added_bytes FROM (
      SELECT r.id AS repository_id, ${addedToRepository(p)} AS added_bytes
      FROM ${repository} r CROSS JOIN ${namespaceQuota} q ON q.namespace_id = r.namespace_id
      WHERE r.id = ${p.repositoryId}) pushed
    WHERE pushed.added_bytes > 0
    ON CONFLICT (repository_id) DO UPDATE SET size_bytes = size_bytes + excluded.size_bytes`,
);

/** The same for the namespace. An assertion directly behind sees by it whether anything came. */
export const addToNamespaceSizeStatement = defineStatement<Pushed>(
  (p) => sql`
    UPDATE ${quotaNamespaceSize} SET size_bytes = size_bytes + pushed.added_bytes
    FROM (SELECT r.namespace_id AS namespace_id, ${addedToNamespace(p)} AS added_bytes
      FROM ${repository} r WHERE r.id = ${p.repositoryId}) pushed
    WHERE quota_namespace_size.namespace_id = pushed.namespace_id AND pushed.added_bytes > 0`,
);

/** The namespace of a repository has a quota. */
export const namespaceHasQuota = (repositoryId: Placeholder): SQL => sql`EXISTS (
      SELECT 1 FROM ${ANY_QUOTA} ${repository} r
        CROSS JOIN ${namespaceQuota} q ON q.namespace_id = r.namespace_id
      WHERE r.id = ${repositoryId})`;

/** The namespace of a repository holds more than its quota lets pushes leave. */
export const namespaceIsAboveQuota = (repositoryId: Placeholder): SQL => sql`EXISTS (
      SELECT 1 FROM ${repository} r ${quotaOf(sql`r.namespace_id`)}
      WHERE r.id = ${repositoryId} AND held.size_bytes > q.limit_bytes * q.reject_percent / 100)`;

/** A quota as an upload finds it. */
export interface UploadQuota extends Quota {
  /** What the open uploads of the repository have received, this one with them. */
  readonly uploadedBytes: number;
}

/** The quota that uploads into a repository come under, if any. */
export const uploadQuotaStatement = defineStatement<
  RepositoryNameValues,
  QuotaRow & { uploadedBytes: number },
  UploadQuota
>(
  (p) => sql`
    SELECT ${quotaColumns}, (SELECT coalesce(sum(u.byte_count), 0) FROM ${blobUpload} u
      WHERE u.repository_id = r.id) AS uploadedBytes
    FROM ${ANY_QUOTA} ${namespace} n ${quotaOf(sql`n.id`)}
      CROSS JOIN ${repository} r ON r.namespace_id = n.id AND r.name = ${p.repository}
    WHERE n.name = ${p.namespace}`,
);

/** What the distinct blobs of manifests that are about to go take from their holders. */
const blobsLeaving = (manifests: SQL, holder: SQL, isLinkedElsewhere: SQL): SQL => sql`
      SELECT leaving.holder_id, -sum(leaving.size_bytes) FROM (
        SELECT DISTINCT ${holder} AS holder_id, b.id AS blob_id, b.size_bytes AS size_bytes
        FROM ${ANY_QUOTA} ${manifest} m
          CROSS JOIN ${repository} r ON r.id = m.repository_id
          CROSS JOIN ${namespaceQuota} q ON q.namespace_id = r.namespace_id
          CROSS JOIN ${manifestBlob} link ON link.manifest_id = m.id
          CROSS JOIN ${blob} b ON b.id = link.blob_id
        WHERE m.id IN (${manifests}) AND ${isCounted('b')}
          AND NOT ${isLinkedElsewhere}) leaving
      WHERE true GROUP BY leaving.holder_id`;

/** Brings sizes on by rows of `holder_id` and `size_bytes`; whose they are has a row already. */
const addToRepositories = (changes: SQL): SQL => sql`
    INSERT INTO ${quotaRepositorySize} (repository_id, size_bytes) ${changes}
    ON CONFLICT (repository_id) DO UPDATE SET size_bytes = size_bytes + excluded.size_bytes`;
const addToNamespaces = (changes: SQL): SQL => sql`
    INSERT INTO ${quotaNamespaceSize} (namespace_id, size_bytes) ${changes}
    ON CONFLICT (namespace_id) DO UPDATE SET size_bytes = size_bytes + excluded.size_bytes`;

/**
 * Takes from the sizes of repositories the blobs that only manifests which are about to go link
 * there; each once, however many of those do.
 */
export const subtractFromRepositories = (manifests: SQL): SQL =>
  addToRepositories(
    blobsLeaving(
      manifests,
      sql`r.id`,
      isLinkedInRepository(sql`r.id`, { blobId: sql`b.id`, outside: manifests }),
    ),
  );

/** The same of namespaces. */
export const subtractFromNamespaces = (manifests: SQL): SQL =>
  addToNamespaces(
    blobsLeaving(
      manifests,
      sql`r.namespace_id`,
      isLinkedInNamespace(sql`r.namespace_id`, { blobId: sql`b.id`, outside: manifests }),
    ),
  );

/** Blobs that get another size, by rows of `blob_id` and `added_bytes`, and who holds them. */
const blobsResized = (resized: SQL, holder: SQL): SQL => sql`
      SELECT grown.holder_id, grown.added_bytes FROM (
        SELECT DISTINCT ${holder} AS holder_id, changed.added_bytes AS added_bytes
        FROM ${ANY_QUOTA} (${resized}) changed
          CROSS JOIN ${manifestBlob} link ON link.blob_id = changed.blob_id
          CROSS JOIN ${repository} r ON r.id = link.repository_id
          CROSS JOIN ${namespaceQuota} q ON q.namespace_id = r.namespace_id
        WHERE changed.added_bytes <> 0) grown
      WHERE true`;

/** Brings the sizes of repositories on when blobs of theirs get another size. */
export const resizeInRepositories = (resized: SQL): SQL =>
  addToRepositories(blobsResized(resized, sql`r.id`));

/** The same of namespaces. */
export const resizeInNamespaces = (resized: SQL): SQL =>
  addToNamespaces(blobsResized(resized, sql`r.namespace_id`));
