import { type SQL, sql } from 'drizzle-orm';

import type { DefaultRole, NamespaceInfo } from '../../model/access.ts';
import type { NamespaceName } from '../../model/names.ts';
import type { RegionMode } from '../../model/regions.ts';
import { namespaceIsLive } from './conditions.ts';
import { repositoryGc } from './schema/garbage.ts';
import { namespace, repository } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** Whether the namespace of exactly this name is enabled; no row if there is none. */
export const namespaceEnabledStatement = defineStatement<
  { namespace: string },
  { enabled: number },
  { isEnabled: boolean }
>(
  (p) => sql`SELECT n.enabled AS enabled FROM ${namespace} n WHERE n.name = ${p.namespace}`,
  ({ enabled }) => ({ isEnabled: enabled === 1 }),
);

type Named = { namespace: string };

/** Makes a namespace unless one has the name; a row says that it did. */
export const createNamespaceStatement = defineStatement<
  Named & { kind: 'user' | 'organization'; removedTagExpirationSec: number },
  { namespaceId: number }
>(
  (p) => sql`
    INSERT INTO ${namespace} (name, kind, removed_tag_expiration_s)
    SELECT ${p.namespace}, ${p.kind}, ${p.removedTagExpirationSec}
    WHERE NOT EXISTS (SELECT 1 FROM ${namespace} n WHERE n.name = ${p.namespace})
    RETURNING id AS namespaceId`,
);

interface NamespaceRow {
  namespaceId: number;
  namespaceName: string;
  namespaceKind: string;
  namespaceEnabled: number;
  memberRole: string;
  windowSec: number;
  heldByPullDays: number;
  regionMode: string;
}

const namespaceColumns: SQL = sql.raw(`
  n.id AS namespaceId, n.name AS namespaceName, n.kind AS namespaceKind,
  n.enabled AS namespaceEnabled, n.member_role AS memberRole,
  n.removed_tag_expiration_s AS windowSec, n.held_by_pull_days AS heldByPullDays,
  n.region_mode AS regionMode`);

const toNamespaceInfo = (row: NamespaceRow): NamespaceInfo => ({
  id: row.namespaceId,
  name: row.namespaceName as NamespaceName,
  kind: row.namespaceKind as NamespaceInfo['kind'],
  isEnabled: row.namespaceEnabled === 1,
  memberRole: row.memberRole as DefaultRole,
  windowSec: row.windowSec,
  heldByPullDays: row.heldByPullDays,
  regionMode: row.regionMode as RegionMode,
});

/** The namespace of this name, unless it is marked for deletion. */
export const namespaceStatement = defineStatement<Named, NamespaceRow, NamespaceInfo>(
  (p) => sql`
    SELECT ${namespaceColumns} FROM ${namespace} n
    WHERE n.name = ${p.namespace} AND ${namespaceIsLive(sql`n.id`)}`,
  toNamespaceInfo,
);

/** Namespaces after a name, in byte order. */
export const namespacesPageStatement = defineStatement<
  { afterName: string; limit: number },
  NamespaceRow,
  NamespaceInfo
>(
  (p) => sql`
    SELECT ${namespaceColumns} FROM ${namespace} n
    WHERE n.name > ${p.afterName} AND ${namespaceIsLive(sql`n.id`)}
    ORDER BY n.name LIMIT ${p.limit}`,
  toNamespaceInfo,
);

/** What a namespace is changed to; null: that stays. */
export type NamespaceChangeValues = {
  namespace: string;
  windowSec: number | null;
  heldByPullDays: number | null;
  enabled: number | null;
  memberRole: DefaultRole | null;
};

const isAnyNew = (p: Parameters<NamespaceChangeValues>) => sql`
    (removed_tag_expiration_s <> ${p.windowSec} OR held_by_pull_days <> ${p.heldByPullDays}
      OR enabled <> ${p.enabled} OR member_role <> ${p.memberRole})`;

/** Writes nothing if all is so already, and where a person has no members to give a role to. */
export const changeNamespaceStatement = defineStatement<NamespaceChangeValues>(
  (p) => sql`
    UPDATE ${namespace} SET
      removed_tag_expiration_s = coalesce(${p.windowSec}, removed_tag_expiration_s),
      held_by_pull_days = coalesce(${p.heldByPullDays}, held_by_pull_days),
      enabled = coalesce(${p.enabled}, enabled),
      member_role = coalesce(${p.memberRole}, member_role)
    WHERE name = ${p.namespace} AND ${isAnyNew(p)}
      AND (${p.memberRole} IS NULL OR kind = 'organization') AND ${namespaceIsLive(sql`namespace.id`)}`,
);

const repositoriesOf = (p: Parameters<{ namespace: string }>) => sql`
    ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id AND r.state <> 3
    WHERE n.name = ${p.namespace}`;

/** Has the hints of a namespace's repositories go by the window that it has now. */
export const moveHintsToWindowStatement = defineStatement<{ namespace: string; windowSec: number }>(
  (p) => sql`
    UPDATE ${repositoryGc} SET policy_s = ${p.windowSec}
    WHERE policy_s <> ${p.windowSec}
      AND repository_id IN (SELECT r.id FROM ${repositoriesOf(p)})`,
);
