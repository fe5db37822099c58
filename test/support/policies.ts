import { env } from 'cloudflare:workers';

import type { PolicyScope } from '../../src/model/references.ts';
import type { Gate } from './gate.ts';
import { openTestRegistry, type TestRegistryOptions } from './registry.ts';
import { openStage, select } from './stage.ts';
import { tagRows } from './tags.ts';

export interface PolicyOptions {
  readonly matches?: boolean;
  readonly scope?: PolicyScope;
}

/** A stage with the policies of its repository and of its namespace. */
export async function openPolicyStage(options: TestRegistryOptions = {}) {
  const stage = await openStage(options);
  const { id, namespaceId } = stage.repository;
  const repositoryScope: PolicyScope = { kind: 'repository', id };
  return {
    ...stage,
    repositoryScope,
    namespaceScope: { kind: 'namespace', id: namespaceId } satisfies PolicyScope,
    /** The operations behind a gate. */
    policiesBehind: (gate: Gate, more: TestRegistryOptions = {}) =>
      openTestRegistry({ ...options, clock: stage.clock, ...more, gate }).operations,
    /** A policy that is new, by default of the repository. */
    async addPolicy(
      tagPattern: string,
      { matches = true, scope = repositoryScope }: PolicyOptions = {},
    ) {
      const content = { tagPattern, tagPatternMatches: matches };
      const swept = await stage.operations.createImmutabilityPolicy(scope, content);
      if (swept === null) {
        throw new Error('the scope is gone');
      }
      return swept;
    },
    /** The names of the alive visible immutable tags of all repositories. */
    async lockedNames(): Promise<readonly string[]> {
      const rows = await tagRows();
      return rows
        .filter((row) => row['immutable'] === 1 && row['is_current'] === 1 && row['hidden'] === 0)
        .map(({ name }) => String(name))
        .toSorted();
    },
    /** Which versions of its policies pushes to the repository must have evaluated. */
    async epochs(): Promise<readonly unknown[]> {
      const [row] = await select(
        `SELECT r.immutability_epoch AS own, n.immutability_epoch AS inherited
        FROM repository r JOIN namespace n ON n.id = r.namespace_id WHERE r.id = ?`,
        id,
      );
      return [row?.['own'], row?.['inherited']];
    },
    /** Forgets all tags and policies; manifests stay, so that new tags cost no push. */
    async clearTags(): Promise<void> {
      const tables = ['tag', 'repository_immutability_policy', 'namespace_immutability_policy'];
      await env.DB.batch(tables.map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
    },
  };
}

export type PolicyStage = Awaited<ReturnType<typeof openPolicyStage>>;
