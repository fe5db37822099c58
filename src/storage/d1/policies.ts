import { type SQL, sql } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';

import { precedingStatementWrote } from './conditions.ts';
import {
  namespace,
  namespaceImmutabilityPolicy,
  repository,
  repositoryImmutabilityPolicy,
} from './schema/repositories.ts';
import { defineStatement, type Parameters } from './statement.ts';

/** A repository as a write must see it: its state, and the versions of the policies in scope. */
export interface WriteScope {
  readonly repositoryState: number;
  readonly repositoryEpoch: number;
  readonly namespaceEpoch: number;
}

export const writeScopeStatement = defineStatement<{ repositoryId: number }, WriteScope>(
  (p) => sql`
    SELECT r.state AS repositoryState, r.immutability_epoch AS repositoryEpoch,
      n.immutability_epoch AS namespaceEpoch
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE r.id = ${p.repositoryId}`,
);

/** A rule that locks tags by name: the pattern must match the whole name, or must not. */
export interface ImmutabilityPolicy {
  readonly tagPattern: string;
  readonly tagPatternMatches: boolean;
}

/** A policy as it is kept: its owner calls it by its UUID. */
export interface StoredPolicy extends ImmutabilityPolicy {
  readonly uuid: string;
}

/** The policies of a repository and of its namespace. */
export const immutabilityPoliciesStatement = defineStatement<
  { repositoryId: number },
  { tagPattern: string; tagPatternMatches: number },
  ImmutabilityPolicy
>(
  (p) => sql`
    SELECT policy.tag_pattern AS tagPattern, policy.tag_pattern_matches AS tagPatternMatches
    FROM ${repositoryImmutabilityPolicy} policy WHERE policy.repository_id = ${p.repositoryId}
    UNION ALL
    SELECT policy.tag_pattern, policy.tag_pattern_matches
    FROM ${repository} r
      CROSS JOIN ${namespaceImmutabilityPolicy} policy ON policy.namespace_id = r.namespace_id
    WHERE r.id = ${p.repositoryId}`,
  ({ tagPattern, tagPatternMatches }) => ({
    tagPattern,
    tagPatternMatches: tagPatternMatches === 1,
  }),
);

/** A policy, and the repository that it is about; null: all of its namespace. */
export interface PolicyInScope extends ImmutabilityPolicy {
  readonly repositoryId: number | null;
}

/** The policies of repositories, a JSON list of ids, and of the namespace that they are in. */
export const policiesOfRepositoriesStatement = defineStatement<
  { repositoryIds: string; namespaceId: number },
  { repositoryId: number | null; tagPattern: string; tagPatternMatches: number },
  PolicyInScope
>(
  (p) => sql`
    SELECT policy.repository_id AS repositoryId, policy.tag_pattern AS tagPattern,
      policy.tag_pattern_matches AS tagPatternMatches
    FROM json_each(${p.repositoryIds}) named
      CROSS JOIN ${repositoryImmutabilityPolicy} policy ON policy.repository_id = named.value
    UNION ALL
    SELECT NULL, policy.tag_pattern, policy.tag_pattern_matches
    FROM ${namespaceImmutabilityPolicy} policy WHERE policy.namespace_id = ${p.namespaceId}`,
  ({ tagPatternMatches, ...row }) => ({ ...row, tagPatternMatches: tagPatternMatches === 1 }),
);

interface PolicyRow {
  uuid: string;
  tagPattern: string;
  tagPatternMatches: number;
}

const toPolicy = ({ tagPatternMatches, ...row }: PolicyRow): StoredPolicy => ({
  ...row,
  tagPatternMatches: tagPatternMatches === 1,
});

type Content = { tagPattern: string; tagPatternMatches: number };
type InScope = { ownerId: number };
type Named = InScope & { uuid: string };

/** The row has this name and this content: nobody has changed it since it was read or written. */
export const isPolicy = (p: Parameters<{ uuid: string } & Content>): SQL => sql`
    policy.uuid = ${p.uuid} AND policy.tag_pattern = ${p.tagPattern}
      AND policy.tag_pattern_matches = ${p.tagPatternMatches}`;

/** Where the policies of one kind of owner are, and which owners no write may reach any more. */
interface PolicyTables {
  readonly policy: SQLiteTable;
  readonly owner: SQLiteTable;
  readonly ownerId: SQL;
  readonly isLive: SQL;
}

/**
 * The policies of one kind of owner. Each of the three changes names the content that it replaces
 * and gives a row if it did; `raiseEpoch` stands directly after it.
 */
const definePolicyStatements = ({ policy, owner, ownerId, isLive }: PolicyTables) => {
  const isOfOwner = (p: Parameters<InScope>): SQL => sql`policy.${ownerId} = ${p.ownerId}
      AND EXISTS (SELECT 1 FROM ${owner} owner WHERE owner.id = ${p.ownerId} AND ${isLive})`;
  const columns = sql.raw(`policy.uuid AS uuid, policy.tag_pattern AS tagPattern,
      policy.tag_pattern_matches AS tagPatternMatches`);
  return {
    list: defineStatement<InScope, PolicyRow, StoredPolicy>(
      (p) => sql`
        SELECT ${columns} FROM ${policy} policy WHERE ${isOfOwner(p)} ORDER BY policy.id`,
      toPolicy,
    ),
    get: defineStatement<Named, PolicyRow, StoredPolicy>(
      (p) => sql`
        SELECT ${columns} FROM ${policy} policy WHERE policy.uuid = ${p.uuid} AND ${isOfOwner(p)}`,
      toPolicy,
    ),
    /** Does nothing if the policy is there: then this was sent before. */
    insert: defineStatement<Named & Content, { uuid: string }>(
      (p) => sql`
        INSERT INTO ${policy} (uuid, ${ownerId}, tag_pattern, tag_pattern_matches)
        SELECT ${p.uuid}, owner.id, ${p.tagPattern}, ${p.tagPatternMatches} FROM ${owner} owner
        WHERE owner.id = ${p.ownerId} AND ${isLive}
          AND NOT EXISTS (SELECT 1 FROM ${policy} policy WHERE policy.uuid = ${p.uuid})
        RETURNING uuid AS uuid`,
    ),
    update: defineStatement<
      Named & Content & { newPattern: string; newPatternMatches: number },
      { uuid: string }
    >(
      (p) => sql`
        UPDATE ${policy} AS policy
        SET tag_pattern = ${p.newPattern}, tag_pattern_matches = ${p.newPatternMatches}
        WHERE ${isPolicy(p)} AND ${isOfOwner(p)} RETURNING uuid AS uuid`,
    ),
    remove: defineStatement<Named & Content, { uuid: string }>(
      (p) => sql`
        DELETE FROM ${policy} AS policy WHERE ${isPolicy(p)} AND ${isOfOwner(p)}
        RETURNING uuid AS uuid`,
    ),
    /** Says that what pushes evaluated is out of date, if the statement before this one wrote. */
    raiseEpoch: defineStatement<InScope>(
      (p) => sql`
        UPDATE ${owner} SET immutability_epoch = immutability_epoch + 1
        WHERE ${precedingStatementWrote} AND id = ${p.ownerId}`,
    ),
  };
};

export type PolicyStatements = ReturnType<typeof definePolicyStatements>;

export const repositoryPolicyStatements = definePolicyStatements({
  policy: repositoryImmutabilityPolicy,
  owner: repository,
  ownerId: sql.raw('repository_id'),
  isLive: sql.raw('owner.state <> 3'),
});

export const namespacePolicyStatements = definePolicyStatements({
  policy: namespaceImmutabilityPolicy,
  owner: namespace,
  ownerId: sql.raw('namespace_id'),
  isLive: sql.raw('true'),
});
