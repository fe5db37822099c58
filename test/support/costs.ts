import { env } from 'cloudflare:workers';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import type { RepositoryName } from '../../src/model/names.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import type { Usage } from '../../src/model/usage.ts';
import { pushTagged } from './content.ts';
import { repositoryNamed } from './quota.ts';
import { openTestRegistry, type TestRegistry } from './registry.ts';

/** Where an operation is counted: a repository that was filled before. */
export interface World {
  readonly registry: TestRegistry;
  readonly repository: RepositoryRef;
  readonly name: RepositoryName;
}

/** Prepares the world for an operation, and gives the operation, which is all that is counted. */
export type Scene = (world: World) => Promise<(registry: TestRegistry) => Promise<unknown>>;

/** What is counted: a registry whose meter stands at zero. Whoever it tells of something takes it. */
const openCounted = () =>
  openTestRegistry({ answerTtlSec: 60, fetch: async () => new Response(null) });

/** Repositories in front of a fence, each in a namespace of its own; they are empty. */
export async function openWorlds(count: number): Promise<readonly [World, ...World[]]> {
  const registry = openCounted();
  const first = await aWorld(registry, 'world-1/app');
  const others: World[] = [];
  while (others.length < count - 1) {
    others.push(await aWorld(registry, `world-${others.length + 2}/app`));
  }
  await fence(registry);
  return [first, ...others];
}

async function aWorld(registry: TestRegistry, text: string): Promise<World> {
  const repository = await repositoryNamed(registry, text);
  const name = { namespace: repository.namespaceName, repository: repository.name };
  return { registry, repository, name };
}

/** What the operation of a scene asks of the stores. */
export async function costOf(scene: Scene, world: World): Promise<Readonly<Usage>> {
  const operation = await scene(world);
  const counted = openCounted();
  await operation(counted);
  await counted.settleDeferred();
  return { ...counted.meter.usage };
}

/** Numbers from 1 to the first parameter. */
const COUNTED = `WITH RECURSIVE counted(n) AS (
  SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1)`;
/** The filling's manifest of number n; ten names share one. */
const DIGEST = `'sha256:' || printf('%064x', n / 10)`;

/**
 * Gives the repository `latest` and so many tags more, each with an ended generation, so that
 * history is as long as the present; and temporary tags, and indexes.
 */
export async function fillTags({ registry, repository }: World, tags: number): Promise<void> {
  await pushTagged(registry, repository, { tagName: 'latest' });
  const run = (sql: string) => env.DB.prepare(`${COUNTED} ${sql}`).bind(tags, repository.id);
  const insertTags = (name: string, traits: string) =>
    run(`INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current, hidden)
      SELECT ?2, ${name}, m.id, ${traits} FROM counted
        CROSS JOIN manifest m ON m.repository_id = ?2 AND m.digest = ${DIGEST}`);
  await env.DB.batch([
    run(`INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
      SELECT ?2, ${DIGEST}, '${MANIFEST_MEDIA_TYPES.ociIndex}', 2, 0, '{}' FROM counted
      WHERE n = 1 OR n % 10 = 0`),
    run(`INSERT INTO manifest_child (manifest_id, child_digest, child_manifest_id, repository_id)
      SELECT m.id - 1, m.digest, m.id, ?2 FROM counted
        CROSS JOIN manifest m ON m.repository_id = ?2 AND m.digest = ${DIGEST}
      WHERE n % 20 = 0`),
    insertTags(`printf('x%06d', n)`, '1000 + n / 10, 500000 + n / 10, 0, 0'),
    insertTags(`printf('x%06d', n)`, '500000 + n / 10, NULL, 1, 0'),
    insertTags(`'$temp-' || n`, '1000 + n, 2000 + n, 0, 1'),
  ]);
}

/**
 * Rows that sort after all others. A probe for what is absent reads the row beside its place, if
 * there is one; with these there always is, so that figures can be compared to the row.
 */
async function fence(registry: TestRegistry): Promise<void> {
  const world = await aWorld(registry, 'zz/fence');
  const { repository, name } = world;
  await fillTags(world, 1);
  await pushTagged(registry, repository, { tagName: 'labelled', labels: { key: 'value' } });
  await registry.operations.startUpload(name);
  await registry.operations.createNotification(repository, {
    event: 'repo_push',
    eventConfig: {},
    url: 'https://hooks.example.com/',
    title: null,
  });
  await env.DB.batch(
    [
      `UPDATE blob SET uuid = 'zz' || id, digest = 'zz' || id, object_key = 'zz' || id`,
      `UPDATE manifest SET digest = 'zz' || id`,
      `UPDATE tag SET name = 'zz' || id WHERE repository_id = ${repository.id}`,
      `UPDATE manifest_label SET uuid = 'zz' || id`,
      `UPDATE repository_notification SET uuid = 'zz' || id`,
      `UPDATE blob_upload SET uuid = 'zz' || id, object_key = 'zz' || id`,
    ].map((sql) => env.DB.prepare(sql)),
  );
}

/** The repository as an operation finds it that knows no more than its name. */
export async function lookUp(
  { registry }: TestRegistry,
  name: RepositoryName,
): Promise<RepositoryRef> {
  const found = await registry.lookupRepository(name.namespace, name.repository);
  if (found === null) {
    throw new Error('the repository is gone');
  }
  return found;
}
