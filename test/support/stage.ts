import { env } from 'cloudflare:workers';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { type Bytes, encodeUtf8 } from '../../src/model/bytes.ts';
import { computeDigest, type Digest } from '../../src/model/digest.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { parsed, uniqueBytes } from './content.ts';
import type { Gate } from './gate.ts';
import { aRepository, openTestRegistry, type TestRegistryOptions } from './registry.ts';

export type SqlRow = Record<string, string | number | null>;

/** Rows as the database has them now, beside all the code under test. */
export async function select(sql: string, ...values: unknown[]): Promise<readonly SqlRow[]> {
  const { results } = await env.DB.prepare(sql)
    .bind(...values)
    .all<SqlRow>();
  return results;
}

/** Changes rows beside all the code under test. */
export async function execute(sql: string, ...values: unknown[]): Promise<void> {
  await env.DB.prepare(sql)
    .bind(...values)
    .run();
}

/** A change made by somebody else in one transaction: an operation of one call, for races. */
export function change(...statements: readonly string[]) {
  return (gate: Gate): Promise<readonly (readonly SqlRow[])[]> =>
    gate({ store: 'd1', operation: 'batch' }, async () => {
      const results = await env.DB.batch<SqlRow>(statements.map((sql) => env.DB.prepare(sql)));
      return results.map((result) => result.results);
    });
}

export interface StagedBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** A blob of the repository, stored and leased beside the code that uploads. */
export async function storeBlob(repository: RepositoryRef, bytes: Bytes): Promise<StagedBlob> {
  const digest = await computeDigest('sha256', bytes);
  const key = `blobs/${crypto.randomUUID()}`;
  await env.BUCKET.put(key, bytes);
  await env.DB.batch([
    env.DB.prepare(
      `INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      VALUES (?, ?, ?, ?, 'r2', 0)`,
    ).bind(crypto.randomUUID(), digest, bytes.byteLength, key),
    env.DB.prepare(
      `INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
      SELECT ?, id, 0, 1 FROM blob WHERE digest = ?`,
    ).bind(repository.id, digest),
    env.DB.prepare(
      `INSERT INTO repository_gc (repository_id, policy_s, earliest_lease_ms)
      VALUES (?, 1209600, 1) ON CONFLICT DO NOTHING`,
    ).bind(repository.id),
  ]);
  return { digest, size: bytes.byteLength };
}

export interface StagedImage {
  /** Labels of the image's config. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly subject?: ParsedManifest;
  /** Makes the manifest at least so many bytes long. */
  readonly padding?: number;
}

/**
 * A repository whose blobs are uploaded once, so that tests that need many manifests, as races do,
 * spend their time on them. Every image is another manifest of the same layer.
 */
export async function openStage(options: TestRegistryOptions = {}) {
  const world = openTestRegistry(options);
  const repository = await aRepository(world);
  const layer = await storeBlob(repository, uniqueBytes());
  const configs = new Map<string, StagedBlob>();

  async function configWith(labels: Readonly<Record<string, string>>): Promise<StagedBlob> {
    const text = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Labels: labels },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    });
    const blob = configs.get(text) ?? (await storeBlob(repository, encodeUtf8(text)));
    configs.set(text, blob);
    return blob;
  }

  return {
    ...world,
    repository,
    layer,
    /** An image that was not pushed yet. */
    async image({ labels = {}, subject, padding = 0 }: StagedImage = {}): Promise<ParsedManifest> {
      const config = await configWith(labels);
      return parsed(MANIFEST_MEDIA_TYPES.ociManifest, {
        schemaVersion: 2,
        config: {
          mediaType: 'application/vnd.oci.image.config.v1+json',
          size: config.size,
          digest: config.digest,
        },
        layers: [
          {
            mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
            size: layer.size,
            digest: layer.digest,
          },
        ],
        ...(subject === undefined ? {} : { subject: descriptorOf(subject) }),
        unique: crypto.randomUUID(),
        padding: ' '.repeat(padding),
      });
    },
    /** Pushes under a tag, by default over stores without a gate. */
    push: (tagName: string, manifest: ParsedManifest, gate?: Gate) =>
      pushTo(repository, tagName, manifest, { ...options, clock: world.clock, ...gateOf(gate) }),
    /** The same registry behind a gate. */
    behind: (gate: Gate, more: TestRegistryOptions = {}) =>
      openTestRegistry({ ...options, clock: world.clock, ...more, gate }).registry,
    /** What stands beside the interface, behind a gate. */
    operationsBehind: (gate: Gate) =>
      openTestRegistry({ ...options, clock: world.clock, gate }).operations,
    /** The names that are alive, in order. */
    async names(): Promise<readonly string[]> {
      const page = await world.registry.lookupActiveRepositoryTags(repository, null, 1000);
      return page.items.map(({ name }) => name);
    },
    /** Every row of a name, oldest first. */
    generations: (name: string): Promise<readonly SqlRow[]> =>
      select(
        `SELECT t.*, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest_id
        WHERE t.repository_id = ? AND t.name = ? ORDER BY t.id`,
        repository.id,
        name,
      ),
    /** How often the set of alive visible tags was changed. */
    async generation(): Promise<number> {
      const [row] = await select(
        'SELECT tags_generation FROM repository WHERE id = ?',
        repository.id,
      );
      return Number(row?.['tags_generation']);
    },
    /** Forgets all manifests and tags; blobs stay, and so does the repository. */
    async clear(): Promise<void> {
      const bodies = await select(`SELECT object_key AS key FROM r2_tombstone
        UNION SELECT bytes_key FROM manifest WHERE bytes_key IS NOT NULL`);
      await env.BUCKET.delete(bodies.map(({ key }) => String(key)));
      const tables = ['tag', 'manifest_child', 'manifest_label', 'manifest_blob', 'manifest'];
      await env.DB.batch([
        ...[...tables, 'r2_tombstone'].map((table) => env.DB.prepare(`DELETE FROM ${table}`)),
        env.DB.prepare('UPDATE repository SET state = 0, tags_generation = tags_generation + 1'),
        env.DB.prepare('UPDATE repository_gc SET earliest_end_ms = NULL'),
      ]);
    },
  };
}

export type Stage = Awaited<ReturnType<typeof openStage>>;

function gateOf(gate: Gate | undefined): { gate?: Gate } {
  return gate === undefined ? {} : { gate };
}

async function pushTo(
  repository: RepositoryRef,
  tagName: string,
  manifest: ParsedManifest,
  options: TestRegistryOptions,
) {
  const { registry } = openTestRegistry(options);
  const pushed = await registry.createManifestAndRetargetTag(repository, manifest, tagName, {
    raiseOnError: true,
  });
  if (pushed === null) {
    throw new Error('the push gave nothing');
  }
  return pushed;
}

export function descriptorOf({ mediaType, bytes, digest }: ParsedManifest): {
  readonly mediaType: string;
  readonly size: number;
  readonly digest: Digest;
} {
  return { mediaType, size: bytes.byteLength, digest };
}

/** The code of the refusal that an operation ended with; null if it did not. */
export function codeOf(outcome: PromiseSettledResult<unknown>): string | null {
  if (outcome.status === 'fulfilled') {
    return null;
  }
  const { reason }: { reason: unknown } = outcome;
  return typeof reason === 'object' && reason !== null && 'code' in reason
    ? String(reason.code)
    : String(reason);
}

/** What an operation came to; a failure fails the test. */
export function valueOf<Result>(outcome: PromiseSettledResult<Result>): Result {
  if (outcome.status === 'rejected') {
    throw outcome.reason;
  }
  return outcome.value;
}
