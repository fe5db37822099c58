import { type SQL, sql } from 'drizzle-orm';

import type { NamespaceName, RepositoryName, RepositoryPath } from '../../model/names.ts';
import type { RepositoryRef, RepositoryState } from '../../model/references.ts';
import { precedingStatementWrote } from './conditions.ts';
import { type RepositoryRow, repositoryColumns, toRepositoryRef } from './rows.ts';
import { account, namespaceMember, repositoryRight } from './schema/accounts.ts';
import { namespace, repository } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** The parameters that name a repository. */
export type RepositoryNameValues = { namespace: string; repository: string };

/** The repository of this name, unless it is marked for deletion. */
export const repositoryByNameStatement = defineStatement<
  RepositoryNameValues,
  RepositoryRow,
  RepositoryRef
>(
  (p) => sql`
    SELECT ${repositoryColumns}
    FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
    WHERE n.name = ${p.namespace} AND r.name = ${p.repository} AND r.state <> 3`,
  toRepositoryRef,
);

/** The same of each `[namespace, repository]` of a JSON list that is there, with its place in it. */
export const repositoriesByNamesStatement = defineStatement<
  { repositories: string },
  RepositoryRow & { nameIndex: number },
  { readonly index: number; readonly repository: RepositoryRef }
>(
  (p) => sql`
    SELECT named.key AS nameIndex, ${repositoryColumns}
    FROM json_each(${p.repositories}) named
      CROSS JOIN ${namespace} n ON n.name = named.value ->> 0
      CROSS JOIN ${repository} r ON r.namespace_id = n.id AND r.name = named.value ->> 1
        AND r.state <> 3`,
  ({ nameIndex, ...row }) => ({ index: nameIndex, repository: toRepositoryRef(row) }),
);

/** Makes the namespace if there is none of this name. */
export const insertNamespaceStatement = defineStatement<{
  namespace: string;
  removedTagExpirationSec: number;
}>(
  (p) => sql`
    INSERT INTO ${namespace} (name, removed_tag_expiration_s)
    SELECT ${p.namespace}, ${p.removedTagExpirationSec}
    WHERE NOT EXISTS (SELECT 1 FROM ${namespace} n WHERE n.name = ${p.namespace})
    ON CONFLICT DO NOTHING`,
);

type NewRepository = { visibility: 'public' | 'private'; description: string };

/** Makes the repository in its existing namespace if that has none of this name; no row if not. */
export const insertRepositoryStatement = defineStatement<
  RepositoryNameValues & NewRepository,
  { madeId: number }
>(
  (p) => sql`
    INSERT INTO ${repository} (namespace_id, name, visibility, description)
    SELECT n.id, ${p.repository}, ${p.visibility}, ${p.description} FROM ${namespace} n
    WHERE n.name = ${p.namespace} AND NOT EXISTS (
      SELECT 1 FROM ${repository} r WHERE r.namespace_id = n.id AND r.name = ${p.repository})
    ON CONFLICT DO NOTHING RETURNING id AS madeId`,
);

type Creator = RepositoryNameValues & { creatorId: number };

/** Those namespaces of a name, one at most, in which an account may make repositories. */
const creatableNamespace = (p: Parameters<Creator>): SQL => sql`
    ${namespace} n CROSS JOIN ${account} creator ON creator.id = ${p.creatorId}
      CROSS JOIN ${namespace} own ON own.id = creator.namespace_id AND own.enabled = 1
      LEFT JOIN ${namespaceMember} belongs
        ON belongs.namespace_id = n.id AND belongs.account_id = creator.id
    WHERE n.name = ${p.namespace} AND n.enabled = 1 AND creator.enabled = 1
      AND (belongs.role IN ('creator', 'admin')
        OR (creator.kind = 'user' AND creator.namespace_id = n.id))`;

/** The same by an account that may. */
export const insertRepositoryByAccountStatement = defineStatement<
  Creator & NewRepository,
  { madeId: number }
>(
  (p) => sql`
    INSERT INTO ${repository} (namespace_id, name, visibility, description)
    SELECT n.id, ${p.repository}, ${p.visibility}, ${p.description} FROM ${creatableNamespace(p)}
      AND NOT EXISTS (
        SELECT 1 FROM ${repository} r WHERE r.namespace_id = n.id AND r.name = ${p.repository})
    ON CONFLICT DO NOTHING RETURNING id AS madeId`,
);

/**
 * Makes it the admin of what the statement before made, unless it is that already as the owner or an
 * admin of the namespace.
 */
export const insertRightOfCreatorStatement = defineStatement<Creator>(
  (p) => sql`
    INSERT INTO ${repositoryRight} (repository_id, account_id, role)
    SELECT r.id, ${p.creatorId}, 'admin' FROM ${namespace} n
      CROSS JOIN ${repository} r ON r.namespace_id = n.id AND r.name = ${p.repository}
      CROSS JOIN ${namespaceMember} belongs ON belongs.namespace_id = n.id
        AND belongs.account_id = ${p.creatorId} AND belongs.role = 'creator'
    WHERE n.name = ${p.namespace} AND ${precedingStatementWrote}`,
);

/** A repository by id as a cached page of its tags must see it. */
export const tagsVersionStatement = defineStatement<
  { repositoryId: number },
  { repositoryId: number; tagsGeneration: number }
>(
  (p) => sql`
    SELECT r.id AS repositoryId, r.tags_generation AS tagsGeneration
    FROM ${repository} r WHERE r.id = ${p.repositoryId} AND r.state <> 3`,
);

/** The same by name, with the repository. */
export const repositoryTagsVersionStatement = defineStatement<
  RepositoryNameValues,
  RepositoryRow & { tagsGeneration: number },
  { repository: RepositoryRef; repositoryId: number; tagsGeneration: number }
>(
  (p) => sql`
    SELECT ${repositoryColumns}, r.tags_generation AS tagsGeneration
    FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
    WHERE n.name = ${p.namespace} AND r.name = ${p.repository} AND r.state <> 3`,
  (row) => ({
    repository: toRepositoryRef(row),
    repositoryId: row.repositoryId,
    tagsGeneration: row.tagsGeneration,
  }),
);

/** A repository by name as a cached answer about its blobs must see it. */
export const repositoryContentVersionStatement = defineStatement<
  RepositoryNameValues,
  { repositoryId: number; contentEpoch: number }
>(
  (p) => sql`
    SELECT r.id AS repositoryId, r.content_epoch AS contentEpoch
    FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
    WHERE n.name = ${p.namespace} AND r.name = ${p.repository} AND r.state <> 3`,
);

/** Shows a repository to everybody, or hides it, unless it is as it shall be. */
export const setVisibilityStatement = defineStatement<{
  repositoryId: number;
  visibility: 'public' | 'private';
}>(
  (p) => sql`
    UPDATE ${repository} SET visibility = ${p.visibility}
    WHERE id = ${p.repositoryId} AND state <> 3 AND visibility <> ${p.visibility}`,
);

export const setDescriptionStatement = defineStatement<{
  repositoryId: number;
  description: string;
}>(
  (p) => sql`
    UPDATE ${repository} SET description = ${p.description}
    WHERE id = ${p.repositoryId} AND state <> 3 AND description <> ${p.description}`,
);

/** What is said of a repository; no row if it is gone. */
export const descriptionStatement = defineStatement<
  { repositoryId: number },
  { description: string }
>(
  (p) => sql`
    SELECT r.description AS description FROM ${repository} r
    WHERE r.id = ${p.repositoryId} AND r.state <> 3`,
);

type RepositoryNameRow = { namespaceName: string; repositoryName: string };

/**
 * The names of repositories after one, in byte order of `namespace/name`. No namespace holds a
 * slash, so that is the order of `namespace/` and of the name in it; the rest of the namespace that
 * a page starts in comes before the namespaces after it.
 */
export const repositoryNamesStatement = defineStatement<
  { namespacePath: string; afterName: string; limit: number },
  RepositoryNameRow,
  RepositoryName
>(
  (p) => sql`
    SELECT * FROM (
      SELECT n.name AS namespaceName, r.name AS repositoryName
      FROM ${namespace} n INDEXED BY namespace_path CROSS JOIN ${repository} r
        ON r.namespace_id = n.id AND r.name > ${p.afterName} AND r.state <> 3
      WHERE n.name || '/' = ${p.namespacePath} ORDER BY r.name LIMIT ${p.limit})
    UNION ALL
    SELECT * FROM (
      SELECT n.name, r.name
      FROM ${namespace} n INDEXED BY namespace_path CROSS JOIN ${repository} r
        ON r.namespace_id = n.id AND r.state <> 3
      WHERE n.name || '/' > ${p.namespacePath} ORDER BY n.name || '/', r.name LIMIT ${p.limit})
    LIMIT ${p.limit}`,
  ({ namespaceName, repositoryName }) => ({
    namespace: namespaceName as NamespaceName,
    repository: repositoryName as RepositoryPath,
  }),
);

/** A repository, and what is said of it. */
export interface DescribedRepository extends RepositoryRef {
  readonly description: string;
}

/** The same with all that a repository is, for who lists them. */
export const repositoriesStatement = defineStatement<
  { namespacePath: string; afterName: string; limit: number },
  RepositoryRow & { description: string },
  DescribedRepository
>(
  (p) => sql`
    SELECT * FROM (
      SELECT ${repositoryColumns}, r.description AS description
      FROM ${namespace} n INDEXED BY namespace_path CROSS JOIN ${repository} r
        ON r.namespace_id = n.id AND r.name > ${p.afterName} AND r.state <> 3
      WHERE n.name || '/' = ${p.namespacePath} ORDER BY r.name LIMIT ${p.limit})
    UNION ALL
    SELECT * FROM (
      SELECT ${repositoryColumns}, r.description AS description
      FROM ${namespace} n INDEXED BY namespace_path CROSS JOIN ${repository} r
        ON r.namespace_id = n.id AND r.state <> 3
      WHERE n.name || '/' > ${p.namespacePath} ORDER BY n.name || '/', r.name LIMIT ${p.limit})
    LIMIT ${p.limit}`,
  (row) => ({ ...toRepositoryRef(row), description: row.description }),
);

/** Sets the state of a repository that is not marked for deletion; a row if there is one. */
export const changeRepositoryStateStatement = defineStatement<
  { repositoryId: number; state: RepositoryState },
  { repositoryId: number }
>(
  (p) => sql`
    UPDATE ${repository} SET state = ${p.state} WHERE id = ${p.repositoryId} AND state <> 3
    RETURNING id AS repositoryId`,
);
