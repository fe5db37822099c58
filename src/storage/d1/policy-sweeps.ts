import { type SQL, sql } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';

import { isAlive, repositoryIsLive } from './conditions.ts';
import { isPolicy } from './policies.ts';
import {
  namespaceImmutabilityPolicy,
  repository,
  repositoryImmutabilityPolicy,
} from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { defineStatement, type Parameters } from './statement.ts';

/**
 * What locks the tags that were there before a policy. Each statement begins at the policy's row
 * and its content, so a sweep whose policy was changed or deleted meanwhile finds nothing more.
 */

type Policy = { uuid: string; tagPattern: string; tagPatternMatches: number };

/** A tag of the policy's scope that nothing has locked yet. */
export interface UnlockedTag {
  readonly repositoryId: number;
  readonly repositoryName: string;
  readonly tagName: string;
}

type PageValues = Policy & {
  afterRepository: string;
  afterTag: string;
  limit: number;
  nowMs: number;
};
/** `tags` is a JSON list of `[repository id, tag name]`. */
type TagValues = Policy & { tags: string; nowMs: number; keepEnds: number };

/** The alive visible tag of each pair of a list. */
const listedTags = (p: Parameters<{ tags: string; nowMs: number }>): SQL => sql`
      json_each(${p.tags}) listed CROSS JOIN ${tag} t INDEXED BY tag_current_name
        ON t.repository_id = json_extract(listed.value, '$[0]')
        AND t.name = json_extract(listed.value, '$[1]')
        AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}`;

/** Those of a list that were locked since it was read, by whoever it was. */
export const lockedTagsStatement = defineStatement<
  { tags: string; nowMs: number },
  { tagId: number }
>((p) => sql`SELECT t.id AS tagId FROM ${listedTags(p)} WHERE t.immutable = 1`);

/** Where a policy's scope has its tags: the parts of a page, in order. */
interface SweepTables {
  readonly policy: SQLiteTable;
  readonly parts: (
    p: Parameters<PageValues>,
  ) => readonly { readonly repositories: SQL; readonly tags: SQL; readonly order: SQL }[];
}

const defineSweepStatements = ({ policy, parts }: SweepTables) => {
  const unlockedListed = (p: Parameters<TagValues>): SQL => sql`
      ${policy} policy CROSS JOIN ${listedTags(p)}
      WHERE ${isPolicy(p)} AND t.immutable = 0 AND ${repositoryIsLive(sql`t.repository_id`)}`;
  return {
    /** Unlocked tags after one, in byte order of their repositories' names and of their own. */
    page: defineStatement<PageValues, UnlockedTag>((p) => {
      const selects = parts(p).map(
        ({ repositories, tags, order }) => sql`
          SELECT * FROM (
            SELECT r.id AS repositoryId, r.name AS repositoryName, t.name AS tagName
            FROM ${policy} policy CROSS JOIN ${repository} r ON ${repositories} AND r.state <> 3
              CROSS JOIN ${tag} t INDEXED BY tag_current_name ON t.repository_id = r.id AND ${tags}
            WHERE ${isPolicy(p)} AND t.immutable = 0
              AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
            ORDER BY ${order} LIMIT ${p.limit})`,
      );
      return sql`${sql.join(selects, sql` UNION ALL `)} LIMIT ${p.limit}`;
    }),
    /**
     * Says that the set of alive tags may change, for repositories in which `lock` will clear an
     * end: to a reader whose clock is ahead the tag was over already, and the page that it kept
     * has no end to tell it. Stands before `lock`, which leaves no trace of the ends.
     */
    raiseTagsGenerations: defineStatement<TagValues>(
      (p) => sql`
        UPDATE ${repository} SET tags_generation = tags_generation + 1 WHERE id IN (
          SELECT t.repository_id FROM ${unlockedListed(p)}
            AND NOT ${p.keepEnds} AND t.lifetime_end_ms IS NOT NULL)`,
    ),
    /** Makes those of a list immutable that are not yet; `keepEnds` 0 takes their ends away. */
    lock: defineStatement<TagValues, { tagId: number }>(
      (p) => sql`
        UPDATE ${tag} SET immutable = 1,
          lifetime_end_ms = CASE WHEN ${p.keepEnds} THEN lifetime_end_ms END
        WHERE id IN (SELECT t.id FROM ${unlockedListed(p)}) RETURNING id AS tagId`,
    ),
  };
};

export type SweepStatements = ReturnType<typeof defineSweepStatements>;

export const repositorySweepStatements = defineSweepStatements({
  policy: repositoryImmutabilityPolicy,
  parts: (p) => [
    {
      repositories: sql`r.id = policy.repository_id`,
      tags: sql`t.name > ${p.afterTag}`,
      order: sql`t.name`,
    },
  ],
});

/** The rest of the repository that the page starts in, then the repositories after it. */
export const namespaceSweepStatements = defineSweepStatements({
  policy: namespaceImmutabilityPolicy,
  parts: (p) => [
    {
      repositories: sql`r.namespace_id = policy.namespace_id AND r.name = ${p.afterRepository}`,
      tags: sql`t.name > ${p.afterTag}`,
      order: sql`t.name`,
    },
    {
      repositories: sql`r.namespace_id = policy.namespace_id AND r.name > ${p.afterRepository}`,
      tags: sql`true`,
      order: sql`r.name, t.name`,
    },
  ],
});
