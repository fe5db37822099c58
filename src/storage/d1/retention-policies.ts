import { type SQL, sql } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';

import { precedingStatementWrote } from './conditions.ts';
import { namespace, repository } from './schema/repositories.ts';
import {
  namespaceRetentionPolicy,
  repositoryRetentionPolicy,
  retentionTask,
} from './schema/retention.ts';
import { defineStatement, type Parameters } from './statement.ts';

/** What a rule keeps of the tags that it is about: the newest so many, or those so old at most. */
export type RetentionRule =
  | { readonly method: 'number_of_tags'; readonly tagsMax: number }
  | { readonly method: 'creation_date'; readonly ageMaxSec: number };

/** A rule that ends tags, by name if it has a pattern: it must match the whole name, or must not. */
export type RetentionPolicy = RetentionRule & {
  readonly tagPattern: string | null;
  readonly tagPatternMatches: boolean;
};

/** A policy as it is kept; every change of its content raises its revision. */
export type StoredRetentionPolicy = RetentionPolicy & {
  readonly uuid: string;
  readonly revision: number;
};

interface PolicyRow {
  uuid: string;
  revision: number;
  tagsMax: number | null;
  ageMaxSec: number | null;
  tagPattern: string | null;
  tagPatternMatches: number;
}

function toPolicy({ tagsMax, ageMaxSec, ...row }: PolicyRow): StoredRetentionPolicy {
  const rule: RetentionRule =
    tagsMax === null
      ? { method: 'creation_date', ageMaxSec: ageMaxSec ?? 0 }
      : { method: 'number_of_tags', tagsMax };
  return { ...row, ...rule, tagPatternMatches: row.tagPatternMatches === 1 };
}

const COLUMNS = sql.raw(`policy.uuid AS uuid, policy.revision AS revision,
      policy.tags_max AS tagsMax, policy.age_max_s AS ageMaxSec,
      policy.tag_pattern AS tagPattern, policy.tag_pattern_matches AS tagPatternMatches`);

/**
 * The policies that a repository's tags are under, its own and its namespace's. None if it takes no
 * pushes, or its namespace is disabled: what is at rest is left as it is.
 */
export const retentionPoliciesStatement = defineStatement<
  { repositoryId: number },
  PolicyRow,
  StoredRetentionPolicy
>(
  (p) => sql`
    SELECT ${COLUMNS} FROM ${repository} r
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id AND n.enabled = 1
      CROSS JOIN ${repositoryRetentionPolicy} policy ON policy.repository_id = r.id
    WHERE r.id = ${p.repositoryId} AND r.state = 0
    UNION ALL
    SELECT ${COLUMNS} FROM ${repository} r
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id AND n.enabled = 1
      CROSS JOIN ${namespaceRetentionPolicy} policy ON policy.namespace_id = n.id
    WHERE r.id = ${p.repositoryId} AND r.state = 0`,
  toPolicy,
);

type InScope = { ownerId: number };
type Named = InScope & { uuid: string };
type Content = {
  tagsMax: number | null;
  ageMaxSec: number | null;
  tagPattern: string | null;
  tagPatternMatches: number;
};

/** Where the policies of one kind of owner are, and which owners no write may reach any more. */
interface PolicyTables {
  readonly policy: SQLiteTable;
  readonly owner: SQLiteTable;
  readonly ownerId: SQL;
  readonly isLive: SQL;
}

const defineRetentionStatements = ({ policy, owner, ownerId, isLive }: PolicyTables) => {
  const isOfOwner = (p: Parameters<InScope>): SQL => sql`policy.${ownerId} = ${p.ownerId}
      AND EXISTS (SELECT 1 FROM ${owner} owner WHERE owner.id = ${p.ownerId} AND ${isLive})`;
  return {
    list: defineStatement<InScope, PolicyRow, StoredRetentionPolicy>(
      (p) => sql`
        SELECT ${COLUMNS} FROM ${policy} policy WHERE ${isOfOwner(p)} ORDER BY policy.id`,
      toPolicy,
    ),
    get: defineStatement<Named, PolicyRow, StoredRetentionPolicy>(
      (p) => sql`
        SELECT ${COLUMNS} FROM ${policy} policy WHERE policy.uuid = ${p.uuid} AND ${isOfOwner(p)}`,
      toPolicy,
    ),
    /** Does nothing if the policy is there: then this was sent before. */
    insert: defineStatement<Named & Content>(
      (p) => sql`
        INSERT INTO ${policy}
          (uuid, ${ownerId}, tags_max, age_max_s, tag_pattern, tag_pattern_matches)
        SELECT ${p.uuid}, owner.id, ${p.tagsMax}, ${p.ageMaxSec}, ${p.tagPattern},
          ${p.tagPatternMatches}
        FROM ${owner} owner WHERE owner.id = ${p.ownerId} AND ${isLive}
          AND NOT EXISTS (SELECT 1 FROM ${policy} policy WHERE policy.uuid = ${p.uuid})`,
    ),
    update: defineStatement<Named & Content>(
      (p) => sql`
        UPDATE ${policy} AS policy SET revision = revision + 1, tags_max = ${p.tagsMax},
          age_max_s = ${p.ageMaxSec}, tag_pattern = ${p.tagPattern},
          tag_pattern_matches = ${p.tagPatternMatches}
        WHERE policy.uuid = ${p.uuid} AND ${isOfOwner(p)}`,
    ),
    remove: defineStatement<Named, { uuid: string }>(
      (p) => sql`
        DELETE FROM ${policy} AS policy WHERE policy.uuid = ${p.uuid} AND ${isOfOwner(p)}
        RETURNING uuid AS uuid`,
    ),
    /** Has the policies applied from the start, if the statement before this one wrote one. */
    schedule: defineStatement<InScope & { nowMs: number }>(
      (p) => sql`
        INSERT INTO ${retentionTask} (${ownerId}, due_ms)
        SELECT ${p.ownerId}, ${p.nowMs} WHERE ${precedingStatementWrote}
        ON CONFLICT (${ownerId}) DO UPDATE
        SET due_ms = excluded.due_ms, after_repository = '', version = version + 1`,
    ),
  };
};

export type RetentionStatements = ReturnType<typeof defineRetentionStatements>;

export const repositoryRetentionStatements = defineRetentionStatements({
  policy: repositoryRetentionPolicy,
  owner: repository,
  ownerId: sql.raw('repository_id'),
  isLive: sql.raw('owner.state <> 3'),
});

export const namespaceRetentionStatements = defineRetentionStatements({
  policy: namespaceRetentionPolicy,
  owner: namespace,
  ownerId: sql.raw('namespace_id'),
  isLive: sql.raw('true'),
});
