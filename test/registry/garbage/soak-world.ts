import { env } from 'cloudflare:workers';

import { type Bytes, encodeUtf8 } from '../../../src/model/bytes.ts';
import { computeDigest, type Digest } from '../../../src/model/digest.ts';
import { parseRepositoryName } from '../../../src/model/names.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { EMPTY_BLOB_KEY } from '../../../src/storage/r2/paths.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS, TestClock } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { missingOf } from '../../support/pulls.ts';
import { limitsOf } from '../../support/quota.ts';
import type { Random } from '../../support/random.ts';
import { aRepository, openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

const SKEW_MS = MINUTE_MS / 2;
/** How much two actors' clocks differ at most. */
const APART_MS = 2 * SKEW_MS;
const FAILING_R2 = ['put', 'delete', 'head', 'list', 'uploadPart'];

/** Content that every image shares some of. */
export interface PoolBlob {
  readonly digest: Digest;
  readonly bytes: Bytes;
}

/** A generation that ended: restorable until its window is over. */
interface Ended {
  readonly repository: RepositoryRef;
  readonly digest: string;
  readonly endMs: number;
  /** The shortest window that there was since. */
  windowMs: number;
}

class R2Failed extends Error {}

/** Fails one call in ten to R2, before or after the store did what it asked. */
function failingGate(random: Random): Gate {
  return async (call, run) => {
    const fails = call.store === 'r2' && FAILING_R2.includes(call.operation) && random.isOneIn(10);
    if (!fails) {
      return run();
    }
    if (random.isOneIn(2)) {
      await run();
    }
    throw new R2Failed(`R2 fails ${call.operation}`);
  };
}

/** What the actors share, and what has to be true of it. */
export class SoakWorld {
  readonly repositories: RepositoryRef[] = [];
  readonly layers: PoolBlob[] = [];
  readonly configs: PoolBlob[] = [];
  /** By `<repository id> <tag>`, what was pushed or moved there last, and not deleted since. */
  readonly tags = new Map<string, { repository: RepositoryRef; digest: string }>();
  /** Referrers, by `<repository id> <digest>`. */
  readonly pins = new Map<string, { repository: RepositoryRef; digest: string }>();
  ended: Ended[] = [];
  readonly uploads: { repository: RepositoryRef; uploadId: string }[] = [];
  nowMs: number = START_MS;
  readonly random: Random;
  readonly #gate: Gate | null;
  readonly #windowsMs = new Map<number, number>();

  constructor(random: Random, { r2Fails }: { r2Fails: boolean }) {
    this.random = random;
    this.#gate = r2Fails ? failingGate(random) : null;
  }

  async open(): Promise<void> {
    const world = openTestRegistry();
    for (const text of ['none/one', 'none/two', 'day/one']) {
      const name = parseRepositoryName(text);
      this.repositories.push(await aRepository(world, name ?? undefined));
    }
    for (const { namespaceId, namespaceName } of this.repositories) {
      await this.setWindow(namespaceId, namespaceName === 'day' ? 86_400 : 0);
    }
    // Its sizes have to be right whatever happens; nobody is refused.
    await world.operations.setQuota('none', limitsOf(1_000_000_000));
    for (let at = 0; at < 10; at += 1) {
      const bytes = new Uint8Array(at === 0 ? 5_242_880 + 100 : 40 + at).fill(at + 1);
      this.layers.push({ digest: await computeDigest('sha256', bytes), bytes });
      const config = encodeUtf8(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          rootfs: { type: 'layers', diff_ids: [] },
          at,
        }),
      );
      this.configs.push({ digest: await computeDigest('sha256', config), bytes: config });
    }
  }

  /** One of those who work here, by a clock of its own. */
  actor(): TestRegistry {
    const clock = new TestClock();
    clock.set(this.nowMs - SKEW_MS + this.random.below(APART_MS + 1));
    return openTestRegistry({
      clock,
      onFailure: () => undefined,
      ...(this.#gate && { gate: this.#gate }),
    });
  }

  /** Does it until R2 lets it, as a client does. */
  async persist<Result>(act: () => Promise<Result>): Promise<Result> {
    for (let count = 0; ; count += 1) {
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof R2Failed) || count === 50) {
          throw error;
        }
      }
    }
  }

  /** What an operator does: the namespace has another window from now on. */
  async setWindow(namespaceId: number, windowSec: number): Promise<void> {
    await env.DB.batch([
      env.DB.prepare('UPDATE namespace SET removed_tag_expiration_s = ? WHERE id = ?').bind(
        windowSec,
        namespaceId,
      ),
      env.DB.prepare(
        `UPDATE repository_gc SET policy_s = ? WHERE repository_id IN (
          SELECT id FROM repository WHERE namespace_id = ?)`,
      ).bind(windowSec, namespaceId),
    ]);
    const windowMs = windowSec * 1000;
    this.#windowsMs.set(namespaceId, windowMs);
    for (const one of this.ended.filter((end) => end.repository.namespaceId === namespaceId)) {
      one.windowMs = Math.min(one.windowMs, windowMs);
    }
  }

  /** Notes that a tag stands on a manifest now. */
  noteTag(repository: RepositoryRef, tagName: string, digest: string): void {
    this.noteEnd(repository, tagName);
    this.tags.set(`${repository.id} ${tagName}`, { repository, digest });
  }

  /** Notes that a tag stands on nothing now. */
  noteEnd(repository: RepositoryRef, tagName: string): void {
    const key = `${repository.id} ${tagName}`;
    const had = this.tags.get(key);
    this.tags.delete(key);
    const windowMs = this.#windowsMs.get(repository.namespaceId) ?? 0;
    if (had !== undefined) {
      this.ended.push({ ...had, endMs: this.nowMs, windowMs });
    }
  }

  /** What was promised and does not hold, by rows alone. */
  async violatedRows(): Promise<readonly string[]> {
    const rows = await select(`SELECT t.repository_id || ' ' || t.name AS key, m.digest
      FROM tag t JOIN manifest m ON m.id = t.manifest_id
      WHERE t.is_current = 1 AND t.hidden = 0 AND t.lifetime_end_ms IS NULL`);
    const stored = new Map(rows.map(({ key, digest }) => [key, digest]));
    const doomed = await select(`SELECT object_key FROM r2_tombstone WHERE object_key IN (
      SELECT object_key FROM blob UNION ALL SELECT bytes_key FROM manifest)`);
    return [
      ...[...this.tags]
        .filter(([key, { digest }]) => stored.get(key) !== digest)
        .map(([key, { digest }]) => `tag ${key} is not on ${digest}`),
      ...doomed.map(({ object_key: key }) => `${key} is doomed and in use`),
    ];
  }

  /** The same by pulling: alive tags, referrers, and what can be restored, whole. */
  async violatedPulls(): Promise<readonly string[]> {
    const clock = new TestClock();
    clock.set(this.nowMs);
    const world = openTestRegistry({ clock });
    this.ended = this.ended.filter(
      ({ endMs, windowMs }) => this.nowMs < endMs + windowMs - 2 * APART_MS,
    );
    const kept = new Map(
      [...this.tags.values(), ...this.pins.values(), ...this.ended].map((one) => [
        `${one.repository.id} ${one.digest}`,
        one,
      ]),
    );
    const missing: string[] = [];
    for (const { repository, digest } of kept.values()) {
      missing.push(...(await missingOf(world, repository, digest, { allowDead: true })));
    }
    return missing;
  }

  /** Deletes everything, lets all windows pass, and clears up until nothing is due. */
  async empty(): Promise<void> {
    for (const repository of this.repositories) {
      const { registry } = this.actor();
      for (const row of await select(
        'SELECT * FROM manifest WHERE repository_id = ?',
        repository.id,
      )) {
        const manifest = await registry.lookupManifestByDigest(repository, String(row['digest']), {
          allowDead: true,
        });
        if (manifest !== null) {
          await registry.deleteTagsForManifest(manifest);
        }
      }
    }
    this.nowMs += 100 * DAY_MS;
    for (let round = 0; round < 200; round += 1) {
      const { housekeeping } = this.actor();
      const report = await housekeeping.collectGarbage();
      const expired = await housekeeping.expireUploads();
      const { taken } = await housekeeping.drainTombstones();
      const isIdle = report.repositories + expired + taken === 0 && report.isFinished;
      if (isIdle && (await select('SELECT 1 FROM r2_tombstone')).length === 0) {
        return;
      }
      this.nowMs += 7 * HOUR_MS;
    }
    throw new Error('clearing up does not end');
  }
}

const CONTENT_TABLES = [
  'tag',
  'manifest',
  'manifest_child',
  'manifest_blob',
  'manifest_label',
  'blob',
  'uploaded_blob',
  'blob_upload',
  'blob_upload_part',
  'r2_tombstone',
  'gc_manifest_candidate',
  'gc_blob_candidate',
];

/** What is left of all content: the empty layer apart, nothing. */
export async function leftovers(): Promise<readonly string[]> {
  const rows: string[] = [];
  for (const table of CONTENT_TABLES) {
    const [count] = await select(`SELECT count(*) AS n FROM ${table}`);
    rows.push(...(count?.['n'] === 0 ? [] : [`${table}: ${String(count?.['n'])}`]));
  }
  const { objects } = await env.BUCKET.list();
  return [...rows, ...objects.map(({ key }) => key).filter((key) => key !== EMPTY_BLOB_KEY)];
}

/** Removes what was written down of the removals: the soak is long. */
export const forgetRemovals = (): Promise<void> => execute('DELETE FROM gc_removal');
