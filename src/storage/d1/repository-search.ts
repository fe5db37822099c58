import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import type { RepositoryRef } from '../../model/references.ts';
import { type RepositoryRow, repositoryColumns, toRepositoryRef } from './rows.ts';
import { account, namespaceMember, repositoryRight } from './schema/accounts.ts';
import { namespace, repository } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** A repository that a text was found in. */
export interface FoundRepository {
  readonly repository: RepositoryRef;
  readonly namespaceKind: 'user' | 'organization';
  readonly description: string;
  /** 4: it, or the end of its name, is called so; 3: a part begins so; 2: in the name; 1: elsewhere. */
  readonly score: number;
}

/** `text` in any case of ASCII letters; of each source of candidates `searchedMax` are looked at. */
type SearchValues = { text: string; searchedMax: number; limit: number; offset: number };
type FoundRow = RepositoryRow & { namespaceKind: string; description: string; score: number };

const toFound = (row: FoundRow): FoundRepository => ({
  repository: toRepositoryRef(row),
  namespaceKind: row.namespaceKind as FoundRepository['namespaceKind'],
  description: row.description,
  score: row.score,
});

/**
 * Those of `candidates` that hold the text, best first. No pattern, since the text may have a
 * pattern's characters in it. Names are in lower case as they are.
 */
function searchIn(candidates: SQL, p: Parameters<SearchValues>): SQL {
  const path = sql.raw(`'/' || n.name || '/' || r.name`);
  const wanted = sql`lower(${p.text})`;
  return sql`
    SELECT * FROM (
      SELECT ${repositoryColumns}, n.kind AS namespaceKind, r.description AS description,
        CASE WHEN ${wanted} <> '' AND substr(${path}, -length(${p.text}) - 1) = '/' || ${wanted}
            THEN 4
          WHEN instr(${path}, '/' || ${wanted}) > 0 THEN 3
          WHEN instr(${path}, ${wanted}) > 0 THEN 2
          WHEN instr(lower(r.description), ${wanted}) > 0 THEN 1 ELSE 0 END AS score
      FROM (${candidates}) candidate
        CROSS JOIN ${repository} r ON r.id = candidate.id AND r.state <> 3
        CROSS JOIN ${namespace} n ON n.id = r.namespace_id)
    WHERE score > 0
    ORDER BY score DESC, namespaceName, repositoryName LIMIT ${p.limit} OFFSET ${p.offset}`;
}

/** Of all repositories. */
export const searchAllStatement = defineStatement<SearchValues, FoundRow, FoundRepository>(
  (p) =>
    searchIn(
      sql`SELECT every.id FROM ${repository} every WHERE every.id > 0
        ORDER BY every.id DESC LIMIT ${p.searchedMax}`,
      p,
    ),
  toFound,
);

const inEnabledNamespace = (repositoryAlias: string): SQL =>
  sql`CROSS JOIN ${namespace} open ON open.id = ${sql.raw(repositoryAlias)}.namespace_id
    AND open.enabled = 1`;

const publicRepositories = (max: Placeholder): SQL => sql`
  SELECT shown.id FROM ${repository} shown INDEXED BY repository_public
    ${inEnabledNamespace('shown')}
  WHERE shown.visibility = 'public' ORDER BY shown.id DESC LIMIT ${max}`;

/** Of those that everybody sees. */
export const searchPublicStatement = defineStatement<SearchValues, FoundRow, FoundRepository>(
  (p) => searchIn(publicRepositories(p.searchedMax), p),
  toFound,
);

/**
 * Of those that an account may read, by the same reasons as `model/access.ts` has: nothing else is
 * read, so that neither an answer nor its time says anything of the others.
 */
export const searchReadableStatement = defineStatement<
  SearchValues & { accountId: number },
  FoundRow,
  FoundRepository
>(
  (p) =>
    searchIn(
      sql`
        SELECT id FROM (${publicRepositories(p.searchedMax)})
        UNION SELECT id FROM (
          SELECT own.id FROM ${account} a
            CROSS JOIN ${repository} own ON own.namespace_id = a.namespace_id
            ${inEnabledNamespace('own')}
          WHERE a.id = ${p.accountId} AND a.kind = 'user' LIMIT ${p.searchedMax})
        UNION SELECT id FROM (
          SELECT shared.id FROM ${namespaceMember} belongs
            CROSS JOIN ${repository} shared ON shared.namespace_id = belongs.namespace_id
            ${inEnabledNamespace('shared')}
          WHERE belongs.account_id = ${p.accountId}
            AND (belongs.role = 'admin' OR open.member_role <> 'none') LIMIT ${p.searchedMax})
        UNION SELECT id FROM (
          SELECT held.id FROM ${repositoryRight} given
            CROSS JOIN ${repository} held ON held.id = given.repository_id
            ${inEnabledNamespace('held')}
          WHERE given.account_id = ${p.accountId} LIMIT ${p.searchedMax})`,
      p,
    ),
  toFound,
);
