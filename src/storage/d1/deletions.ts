import { type SQL, sql } from 'drizzle-orm';

import { account } from './schema/accounts.ts';
import { deletedNamespace, deletedRepository, repositoryGc } from './schema/garbage.ts';
import { namespace, repository } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * What marks repositories and namespaces for deletion. Their names are free at once, since they are
 * renamed in the batch that marks them; what they hold goes later, step by step.
 */

/** `repositories` is a JSON list of `{id, name}`: which, and what each is called from now on. */
type Marked = { repositories: string };

const listedLive = (p: Parameters<Marked>): SQL => sql`
    json_each(${p.repositories}) listed
      CROSS JOIN ${repository} r ON r.id = listed.value ->> 'id' AND r.state <> 3`;

/** Notes which repositories are about to be marked, and what they were called. */
export const insertRepositoryMarkersStatement = defineStatement<Marked & { nowMs: number }>(
  (p) => sql`
    INSERT INTO ${deletedRepository} (repository_id, original_name, marked_ms, available_after_ms)
    SELECT r.id, r.name, ${p.nowMs}, ${p.nowMs} FROM ${listedLive(p)} WHERE true
    ON CONFLICT DO NOTHING`,
);

/** Garbage collection has nothing more to do in repositories that are about to be marked. */
export const deleteHintsOfMarkedStatement = defineStatement<Marked>(
  (p) => sql`
    DELETE FROM ${repositoryGc} WHERE repository_id IN (SELECT r.id FROM ${listedLive(p)})`,
);

/** Marks the repositories and renames them. */
export const markRepositoriesStatement = defineStatement<Marked>(
  (p) => sql`
    UPDATE ${repository} SET state = 3, name = (
      SELECT listed.value ->> 'name' FROM json_each(${p.repositories}) listed
      WHERE listed.value ->> 'id' = repository.id)
    WHERE id IN (SELECT r.id FROM ${listedLive(p)})`,
);

/** Those of a list that were marked by it, and not before. */
export const markedByListStatement = defineStatement<Marked, { repositoryId: number }>(
  (p) => sql`
    SELECT r.id AS repositoryId FROM json_each(${p.repositories}) listed
      CROSS JOIN ${repository} r
        ON r.id = listed.value ->> 'id' AND r.name = listed.value ->> 'name' AND r.state = 3`,
);

type MarkedNamespace = { namespace: string; newName: string };

/** Notes that a namespace is about to be marked, and what it was called. */
export const insertNamespaceMarkerStatement = defineStatement<MarkedNamespace & { nowMs: number }>(
  (p) => sql`
    INSERT INTO ${deletedNamespace} (namespace_id, original_name, marked_ms, available_after_ms)
    SELECT n.id, n.name, ${p.nowMs}, ${p.nowMs} FROM ${namespace} n WHERE n.name = ${p.namespace}
    ON CONFLICT DO NOTHING`,
);

/**
 * Disables the accounts of a namespace that is about to be marked, and renames them with it: their
 * names are free as its own is.
 */
export const retireAccountsStatement = defineStatement<MarkedNamespace>(
  (p) => sql`
    UPDATE ${account} SET enabled = 0, name = ${p.newName} || CASE kind
      WHEN 'robot' THEN substr(name, instr(name, '+')) ELSE '' END
    WHERE namespace_id = (SELECT n.id FROM ${namespace} n WHERE n.name = ${p.namespace})`,
);

/** Disables the namespace and renames it. */
export const markNamespaceStatement = defineStatement<MarkedNamespace>(
  (p) => sql`
    UPDATE ${namespace} SET enabled = 0, name = ${p.newName} WHERE name = ${p.namespace}`,
);

/** The namespace that was given its name by this mark. */
export const markedNamespaceStatement = defineStatement<
  { newName: string },
  { namespaceId: number }
>((p) => sql`SELECT n.id AS namespaceId FROM ${namespace} n WHERE n.name = ${p.newName}`);

/** Some repositories of a namespace that are not marked yet. */
export const liveRepositoriesStatement = defineStatement<
  { namespaceId: number; limit: number },
  { repositoryId: number }
>(
  (p) => sql`
    SELECT r.id AS repositoryId FROM ${repository} r
    WHERE r.namespace_id = ${p.namespaceId} AND r.state <> 3 LIMIT ${p.limit}`,
);

/** Where it is noted what is to be purged: the table's name, and its key. */
const defineMarkerStatements = (table: string, key: string) => {
  const [markers, id, due] = [sql.raw(table), sql.raw(key), sql.raw(`${table}_due`)];
  return {
    /**
     * Takes up the one that has been due for longest. Its next attempt is set by that, so a purge
     * that dies needs no further write.
     */
    takeDue: defineStatement<
      { nowMs: number; backOffMs: number; backOffMsMax: number; doublingsMax: number },
      { id: number }
    >(
      (p) => sql`
        UPDATE ${markers} SET attempts = attempts + 1, available_after_ms = ${p.nowMs}
          + min(${p.backOffMs} << min(attempts, ${p.doublingsMax}), ${p.backOffMsMax})
        WHERE ${id} = (SELECT first.${id} FROM ${markers} first INDEXED BY ${due}
          WHERE first.available_after_ms <= ${p.nowMs}
          ORDER BY first.available_after_ms, first.${id} LIMIT 1)
        RETURNING ${id} AS id`,
    ),
    /** After one got on: it is due again, behind the others. */
    release: defineStatement<{ id: number; nowMs: number }>(
      (p) => sql`
        UPDATE ${markers} SET attempts = 0, available_after_ms = ${p.nowMs}
        WHERE ${id} = ${p.id}`,
    ),
  };
};

export type MarkerStatements = ReturnType<typeof defineMarkerStatements>;

export const repositoryMarkerStatements = defineMarkerStatements(
  'deleted_repository',
  'repository_id',
);
export const namespaceMarkerStatements = defineMarkerStatements(
  'deleted_namespace',
  'namespace_id',
);
