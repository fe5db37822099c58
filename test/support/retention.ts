import { env } from 'cloudflare:workers';

import type { PolicyScope } from '../../src/model/references.ts';
import type { RetentionPolicy } from '../../src/storage/d1/retention-policies.ts';
import { MINUTE_MS, START_MS } from './clock.ts';
import type { Gate } from './gate.ts';
import { openTestRegistry, type TestRegistryOptions } from './registry.ts';
import { openStage } from './stage.ts';
import type { TagSeed } from './tags.ts';

/** A policy that keeps so many tags. */
export const keepNewest = (
  tagsMax: number,
  tagPattern: string | null = null,
  tagPatternMatches = true,
): RetentionPolicy => ({ method: 'number_of_tags', tagsMax, tagPattern, tagPatternMatches });

/** A policy that keeps tags for so long. */
export const keepFor = (
  ageMaxSec: number,
  tagPattern: string | null = null,
  tagPatternMatches = true,
): RetentionPolicy => ({ method: 'creation_date', ageMaxSec, tagPattern, tagPatternMatches });

/** A tag that was begun so many minutes before the start. */
export const begun = (
  name: string,
  minutesAgo: number,
  flags: Omit<TagSeed, 'name'> = {},
): TagSeed => ({ name, startMs: START_MS - minutesAgo * MINUTE_MS, ...flags });

/** A stage whose repository has one image and no tags, with its policies and those above it. */
export async function openRetentionStage(options: TestRegistryOptions = {}) {
  const stage = await openStage(options);
  await stage.push('first', await stage.image());
  const { id, namespaceId } = stage.repository;
  const repositoryScope: PolicyScope = { kind: 'repository', id };
  const retention = {
    repositoryScope,
    namespaceScope: { kind: 'namespace', id: namespaceId } satisfies PolicyScope,
    /** Makes a policy, by default of the repository. */
    async keep(content: RetentionPolicy, scope: PolicyScope = repositoryScope) {
      const policy = await stage.operations.createRetentionPolicy(scope, content);
      if (policy === null) {
        throw new Error('the scope is gone');
      }
      return policy;
    },
    /** The names that a run would end, in its order. */
    async doomed(): Promise<readonly string[]> {
      const plan = await stage.operations.planRetention(stage.repository);
      return plan.tags.map(({ tagName }) => tagName);
    },
    /** Forgets all tags, policies and tasks; manifests stay. */
    async clearRetention(): Promise<void> {
      const tables = [
        'tag',
        'repository_retention_policy',
        'namespace_retention_policy',
        'retention_task',
      ];
      await env.DB.batch([
        ...tables.map((table) => env.DB.prepare(`DELETE FROM ${table}`)),
        env.DB.prepare(
          'INSERT INTO gc_manifest_candidate SELECT id FROM manifest WHERE true ON CONFLICT DO NOTHING',
        ),
      ]);
    },
    housekeepingBehind: (gate: Gate) =>
      openTestRegistry({ ...options, clock: stage.clock, gate }).housekeeping,
  };
  await retention.clearRetention();
  return { ...stage, ...retention };
}

export type RetentionStage = Awaited<ReturnType<typeof openRetentionStage>>;
