import { type SQL, sql } from 'drizzle-orm';

import type { DefaultRole, NamespaceInfo } from '../../model/access.ts';
import type { NamespaceName } from '../../model/names.ts';
import { namespaceIsLive } from './conditions.ts';
import { namespace } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

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
  removedTagExpirationSec: number;
}

const namespaceColumns: SQL = sql.raw(`
  n.id AS namespaceId, n.name AS namespaceName, n.kind AS namespaceKind,
  n.enabled AS namespaceEnabled, n.member_role AS memberRole,
  n.removed_tag_expiration_s AS removedTagExpirationSec`);

const toNamespaceInfo = (row: NamespaceRow): NamespaceInfo => ({
  id: row.namespaceId,
  name: row.namespaceName as NamespaceName,
  kind: row.namespaceKind as NamespaceInfo['kind'],
  isEnabled: row.namespaceEnabled === 1,
  memberRole: row.memberRole as DefaultRole,
  removedTagExpirationSec: row.removedTagExpirationSec,
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

/** Sets what all members of an organization may do in its repositories. */
export const setMemberRoleStatement = defineStatement<Named & { memberRole: DefaultRole }>(
  (p) => sql`
    UPDATE ${namespace} SET member_role = ${p.memberRole}
    WHERE name = ${p.namespace} AND kind = 'organization' AND member_role <> ${p.memberRole}
      AND ${namespaceIsLive(sql`namespace.id`)}`,
);

/** Opens a namespace to those who may use it, or closes it to everybody. */
export const setNamespaceEnabledStatement = defineStatement<Named & { enabled: number }>(
  (p) => sql`
    UPDATE ${namespace} SET enabled = ${p.enabled}
    WHERE name = ${p.namespace} AND enabled <> ${p.enabled}
      AND ${namespaceIsLive(sql`namespace.id`)}`,
);
