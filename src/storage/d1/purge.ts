import { type Placeholder, type SQL, sql } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';

import { deleteLeases, enqueueBlobsOfLeases } from './collect-blobs.ts';
import {
  type Burial,
  buryBodies,
  type DeletedManifest,
  deleteManifests,
  enqueueBlobsOfManifests,
  recordManifests,
} from './collect-manifests.ts';
import { type DeletedTag, deleteTags, recordTags, removedTagColumns } from './collect-tags.ts';
import { precedingStatementWrote, repositoryIsMarked } from './conditions.ts';
import { subtractFromNamespaces, subtractFromRepositories } from './quota.ts';
import { account, namespaceMember, repositoryRight } from './schema/accounts.ts';
import { uploadedBlob } from './schema/blobs.ts';
import { deletedNamespace, deletedRepository } from './schema/garbage.ts';
import { repositoryImport } from './schema/imports.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { notificationDelivery } from './schema/notifications.ts';
import { namespaceQuota, quotaNamespaceSize, quotaRepositorySize } from './schema/quota.ts';
import { tagRelease } from './schema/releases.ts';
import {
  namespace,
  namespaceImmutabilityPolicy,
  repository,
  repositoryImmutabilityPolicy,
} from './schema/repositories.ts';
import { namespaceGeoRestriction, repositoryNotification } from './schema/security.ts';
import { tag, tagPullStatistics } from './schema/tags.ts';
import { blobUpload } from './schema/uploads.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The steps that remove all of a repository that is marked for deletion, whatever is alive or locked
 * in it; then the repository. Every statement asks whether it is marked. Manifests of it that lose
 * their last reference are on no list of candidates: the marker says that they go.
 */

type Repository = { repositoryId: number };
/** How many manifests are looked at, and how many of their tags. */
export type PurgedManifests = Repository & { manifestLimit: number; tagLimit: number };

/** By digest, for that is the order of an index: by id they would all be sorted each time. */
const firstManifests = (p: Parameters<Omit<PurgedManifests, 'tagLimit'>>): SQL => sql`
    SELECT m.id AS id FROM ${manifest} m INDEXED BY manifest_repo_digest
    WHERE m.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
    ORDER BY m.digest LIMIT ${p.manifestLimit}`;

const purgedTags = (p: Parameters<PurgedManifests>): SQL => sql`
    SELECT ${removedTagColumns} FROM (${firstManifests(p)}) first
      CROSS JOIN ${tag} t INDEXED BY tag_manifest ON t.manifest_id = first.id
    LIMIT ${p.tagLimit}`;

/** Writes down which tags of the first manifests are about to go. */
export const recordPurgedTagsStatement = defineStatement<PurgedManifests & { nowMs: number }>((p) =>
  recordTags(p, 'repository_deleted', purgedTags(p)),
);

/** Removes the tags. */
export const deletePurgedTagsStatement = defineStatement<PurgedManifests, DeletedTag>((p) =>
  deleteTags(purgedTags(p)),
);

type FirstManifests = Omit<PurgedManifests, 'tagLimit'>;

/** Those of the first manifests that have no tag left; what else refers to them goes as well. */
const purgedManifests = (p: Parameters<FirstManifests>): SQL => sql`
    SELECT first.id FROM (${firstManifests(p)}) first
    WHERE NOT EXISTS (SELECT 1 FROM ${tag} t WHERE t.manifest_id = first.id)`;

/** Takes manifests that are about to go out of the indexes that have them. */
export const deleteLinksToPurgedStatement = defineStatement<FirstManifests>(
  (p) => sql`
    DELETE FROM ${manifestChild}
    WHERE child_manifest_id IN (${purgedManifests(p)}) AND child_manifest_id IS NOT NULL`,
);

export const enqueueBlobsOfPurgedStatement = defineStatement<FirstManifests>((p) =>
  enqueueBlobsOfManifests(purgedManifests(p)),
);

export const buryPurgedBodiesStatement = defineStatement<FirstManifests & Burial>((p) =>
  buryBodies(p, purgedManifests(p)),
);

/** Takes what only these manifests hold from the sizes that quotas go by. */
export const subtractPurgedFromRepositoriesStatement = defineStatement<FirstManifests>((p) =>
  subtractFromRepositories(purgedManifests(p)),
);
export const subtractPurgedFromNamespacesStatement = defineStatement<FirstManifests>((p) =>
  subtractFromNamespaces(purgedManifests(p)),
);

export const recordPurgedManifestsStatement = defineStatement<FirstManifests & { nowMs: number }>(
  (p) => recordManifests(p, 'repository_deleted', purgedManifests(p)),
);

export const deletePurgedManifestsStatement = defineStatement<FirstManifests, DeletedManifest>(
  (p) => deleteManifests(purgedManifests(p)),
);

type PurgedLeases = Repository & { limit: number };

/** Leases of the repository, over or not. */
const purgedLeases = (p: Parameters<PurgedLeases>): SQL => sql`
    SELECT lease.blob_id AS blob_id FROM ${uploadedBlob} lease INDEXED BY uploaded_blob_expiry
    WHERE lease.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
    ORDER BY lease.expires_ms, lease.blob_id LIMIT ${p.limit}`;

export const enqueueBlobsOfPurgedLeasesStatement = defineStatement<PurgedLeases>((p) =>
  enqueueBlobsOfLeases(purgedLeases(p)),
);

export const deletePurgedLeasesStatement = defineStatement<PurgedLeases, { blobId: number }>((p) =>
  deleteLeases(p, purgedLeases(p)),
);

/** No row of these tables belongs to the owner. */
const haveNothingOf = (
  owner: 'repository_id' | 'namespace_id',
  id: Placeholder,
  tables: readonly SQLiteTable[],
): SQL =>
  sql.join(
    tables.map(
      (table) =>
        sql`NOT EXISTS (SELECT 1 FROM ${table} child WHERE child.${sql.raw(owner)} = ${id})`,
    ),
    sql` AND `,
  );

type Rows = Repository & { limit: number };

export const deletePurgedPoliciesStatement = defineStatement<Rows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${repositoryImmutabilityPolicy} WHERE id IN (
      SELECT policy.id FROM ${repositoryImmutabilityPolicy} policy
      WHERE policy.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

export const deletePurgedMessagesStatement = defineStatement<Rows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${notificationDelivery} WHERE (notification_id, created_ms, message_id) IN (
      SELECT waiting.notification_id, waiting.created_ms, waiting.message_id
      FROM ${repositoryNotification} wanted
        CROSS JOIN ${notificationDelivery} waiting ON waiting.notification_id = wanted.id
      WHERE wanted.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

/** With a notification goes which tags it was sent for; what waits for it goes before. */
export const deletePurgedNotificationsStatement = defineStatement<Rows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${repositoryNotification} WHERE id IN (
      SELECT wanted.id FROM ${repositoryNotification} wanted
      WHERE wanted.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
        AND NOT EXISTS (SELECT 1 FROM ${notificationDelivery} waiting
          WHERE waiting.notification_id = wanted.id)
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

export const deletePurgedStatisticsStatement = defineStatement<Rows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${tagPullStatistics} WHERE repository_id = ${p.repositoryId} AND tag_name IN (
      SELECT pulled.tag_name FROM ${tagPullStatistics} pulled
      WHERE pulled.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

export const deletePurgedRightsStatement = defineStatement<Rows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${repositoryRight} WHERE repository_id = ${p.repositoryId} AND account_id IN (
      SELECT given.account_id FROM ${repositoryRight} given
      WHERE given.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

export const deletePurgedQuotaStatement = defineStatement<Repository>(
  (p) => sql`
    DELETE FROM ${quotaRepositorySize}
    WHERE repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)}`,
);

/**
 * What must be gone before the repository goes. Tags and links of indexes are reached through the
 * manifests, and no index that begins with the repository serves all of them.
 */
const repositoryIsEmpty = (p: Parameters<Repository>): SQL =>
  haveNothingOf('repository_id', p.repositoryId, [
    manifest,
    uploadedBlob,
    blobUpload,
    tagPullStatistics,
    repositoryNotification,
    repositoryImmutabilityPolicy,
    repositoryRight,
    repositoryImport,
    quotaRepositorySize,
  ]);

/** Forgets that the repository is to be deleted, once nothing of it is left. */
export const deleteRepositoryMarkerStatement = defineStatement<Repository>(
  (p) => sql`
    DELETE FROM ${deletedRepository} WHERE repository_id = ${p.repositoryId}
      AND ${repositoryIsMarked(p.repositoryId)} AND ${repositoryIsEmpty(p)}`,
);

/** Stands directly behind the removal of the marker, and does nothing if that did nothing. */
export const deleteRepositoryStatement = defineStatement<Repository, { repositoryId: number }>(
  (p) => sql`
    DELETE FROM ${repository}
    WHERE id = ${p.repositoryId} AND state = 3 AND ${precedingStatementWrote}
    RETURNING id AS repositoryId`,
);

type Namespace = { namespaceId: number };

/** The namespace is noted to be deleted. */
const namespaceIsMarked = (p: Parameters<Namespace>): SQL => sql`EXISTS (
      SELECT 1 FROM ${deletedNamespace} marker WHERE marker.namespace_id = ${p.namespaceId})`;

/** Some rows that a marked namespace owns beside its repositories. */
const deleteOwnedRows = (
  p: Parameters<Namespace & { limit: number }>,
  table: SQLiteTable,
): SQL => sql`
    DELETE FROM ${table} WHERE id IN (SELECT owned.id FROM ${table} owned
      WHERE owned.namespace_id = ${p.namespaceId} AND ${namespaceIsMarked(p)} LIMIT ${p.limit})
    RETURNING 1 AS removed`;

export const deleteNamespacePoliciesStatement = defineStatement<
  Namespace & { limit: number },
  { removed: number }
>((p) => deleteOwnedRows(p, namespaceImmutabilityPolicy));

export const deleteNamespaceRestrictionsStatement = defineStatement<
  Namespace & { limit: number },
  { removed: number }
>((p) => deleteOwnedRows(p, namespaceGeoRestriction));

export const deleteNamespaceReleasesStatement = defineStatement<
  Namespace & { limit: number },
  { removed: number }
>((p) => deleteOwnedRows(p, tagRelease));

type OwnedRows = Namespace & { limit: number };

export const deleteNamespaceMembersStatement = defineStatement<OwnedRows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${namespaceMember} WHERE namespace_id = ${p.namespaceId} AND account_id IN (
      SELECT belongs.account_id FROM ${namespaceMember} belongs
      WHERE belongs.namespace_id = ${p.namespaceId} AND ${namespaceIsMarked(p)}
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

/** What the accounts of a marked namespace have elsewhere goes before them, some rows at a time. */
export const deleteRightsOfAccountsStatement = defineStatement<OwnedRows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${repositoryRight} WHERE (repository_id, account_id) IN (
      SELECT given.repository_id, given.account_id FROM ${account} a
        CROSS JOIN ${repositoryRight} given INDEXED BY repository_right_account
          ON given.account_id = a.id
      WHERE a.namespace_id = ${p.namespaceId} AND ${namespaceIsMarked(p)} LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

export const deleteMembershipsOfAccountsStatement = defineStatement<OwnedRows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${namespaceMember} WHERE (namespace_id, account_id) IN (
      SELECT belongs.namespace_id, belongs.account_id FROM ${account} a
        CROSS JOIN ${namespaceMember} belongs INDEXED BY namespace_member_account
          ON belongs.account_id = a.id
      WHERE a.namespace_id = ${p.namespaceId} AND ${namespaceIsMarked(p)} LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

/** Removes accounts of a marked namespace that have nothing left; each takes its secrets along. */
export const deleteAccountsStatement = defineStatement<OwnedRows, { removed: number }>(
  (p) => sql`
    DELETE FROM ${account} WHERE id IN (SELECT a.id FROM ${account} a
      WHERE a.namespace_id = ${p.namespaceId} AND ${namespaceIsMarked(p)}
        AND NOT EXISTS (SELECT 1 FROM ${repositoryRight} given WHERE given.account_id = a.id)
        AND NOT EXISTS (SELECT 1 FROM ${namespaceMember} belongs WHERE belongs.account_id = a.id)
      LIMIT ${p.limit})
    RETURNING 1 AS removed`,
);

/**
 * Once its last repository is gone: until then the quota goes by sizes that must be right. The
 * second of the two stands directly behind the first.
 */
export const deleteNamespaceSizeStatement = defineStatement<Namespace>(
  (p) => sql`
    DELETE FROM ${quotaNamespaceSize} WHERE namespace_id = ${p.namespaceId}
      AND ${namespaceIsMarked(p)} AND ${haveNothingOf('namespace_id', p.namespaceId, [repository])}`,
);
export const deleteNamespaceQuotaStatement = defineStatement<Namespace>(
  (p) => sql`
    DELETE FROM ${namespaceQuota}
    WHERE namespace_id = ${p.namespaceId} AND ${precedingStatementWrote}`,
);

const namespaceIsEmpty = (p: Parameters<Namespace>): SQL =>
  haveNothingOf('namespace_id', p.namespaceId, [
    repository,
    namespaceImmutabilityPolicy,
    namespaceGeoRestriction,
    namespaceQuota,
    namespaceMember,
    account,
    quotaNamespaceSize,
    tagRelease,
  ]);

/** Forgets that the namespace is to be deleted, once nothing of it is left. */
export const deleteNamespaceMarkerStatement = defineStatement<Namespace>(
  (p) => sql`
    DELETE FROM ${deletedNamespace}
    WHERE namespace_id = ${p.namespaceId} AND ${namespaceIsEmpty(p)}`,
);

/** Stands directly behind the removal of the marker, and does nothing if that did nothing. */
export const deleteNamespaceStatement = defineStatement<Namespace, { namespaceId: number }>(
  (p) => sql`
    DELETE FROM ${namespace} WHERE id = ${p.namespaceId} AND ${precedingStatementWrote}
    RETURNING id AS namespaceId`,
);
