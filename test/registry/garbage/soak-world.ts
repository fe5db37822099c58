import { env } from 'cloudflare:workers';

import { type Bytes, encodeUtf8 } from '../../../src/model/bytes.ts';
import { computeDigest, type Digest } from '../../../src/model/digest.ts';
import { parseRepositoryName, type RepositoryName } from '../../../src/model/names.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS, HOUR_MS, START_MS, TestClock } from '../../support/clock.ts';
import { footprint } from '../../support/footprint.ts';
import type { Gate } from '../../support/gate.ts';
import { limitsOf } from '../../support/quota.ts';
import type { Random } from '../../support/random.ts';
import { aRepository, openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { select } from '../../support/stage.ts';
import { SKEW_MS, SoakPromises } from './soak-promises.ts';

const NAMES = ['none/one', 'none/two', 'day/one', 'day/two'];
const FAILING_R2 = ['put', 'delete', 'head', 'list', 'uploadPart'];

/** Content that every image shares some of. */
export interface PoolBlob {
  readonly digest: Digest;
  readonly bytes: Bytes;
}

/** R2 did not answer, whether it did what it was asked or not. */
class R2Failed extends Error {}

/** What the actors share: the stores, the time, and what was promised. */
export class SoakWorld {
  readonly random: Random;
  readonly promises = new SoakPromises();
  readonly layers: PoolBlob[] = [];
  readonly configs: PoolBlob[] = [];
  repositories: readonly RepositoryRef[] = [];
  nowMs: number = START_MS;
  readonly #r2Fails: boolean;
  readonly #windowsMs = new Map<number, number>();

  constructor(random: Random, { r2Fails }: { r2Fails: boolean }) {
    this.random = random;
    this.#r2Fails = r2Fails;
  }

  async open(): Promise<void> {
    await this.settleRepositories();
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

  /** The registry as one request finds it: behind a gate, by a clock of its own. */
  isolate(gate: Gate | null): TestRegistry {
    const clock = new TestClock();
    clock.set(this.nowMs - SKEW_MS + this.random.below(2 * SKEW_MS + 1));
    const failing = this.#r2Fails ? failingGate(this.random) : null;
    const both: Gate = (call, run) => {
      const attempt = () => (failing === null ? run() : failing(call, run));
      return gate === null ? attempt() : gate(call, attempt);
    };
    return openTestRegistry({
      clock,
      onFailure: () => undefined,
      ...(gate === null && failing === null ? {} : { gate: both }),
    });
  }

  /** Who reads without hindrance, by the world's own clock. */
  reader(): TestRegistry {
    const clock = new TestClock();
    clock.set(this.nowMs);
    return openTestRegistry({ clock });
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

  /** Makes the repositories that are not there, as the next push to them would. */
  async settleRepositories(): Promise<void> {
    const world = openTestRegistry();
    const refs: RepositoryRef[] = [];
    for (const text of NAMES) {
      refs.push(await aRepository(world, parseRepositoryName(text) as RepositoryName));
    }
    for (const { id } of this.repositories) {
      if (refs.every((ref) => ref.id !== id)) {
        this.promises.forgetRepository(id);
      }
    }
    this.repositories = refs;
    for (const { namespaceId, namespaceName } of refs) {
      if (!this.#windowsMs.has(namespaceId)) {
        await this.setWindow(namespaceId, namespaceName === 'day' ? 86_400 : 0);
        if (namespaceName === 'none') {
          // Its sizes have to be right whatever happens; nobody is refused.
          await world.operations.setQuota(namespaceName, limitsOf(1_000_000_000));
        }
      }
    }
  }

  windowMs(namespaceId: number): number {
    return this.#windowsMs.get(namespaceId) ?? 0;
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
    this.#windowsMs.set(namespaceId, windowSec * 1000);
    this.promises.narrowWindow(namespaceId, windowSec * 1000);
  }

  /**
   * Deletes everything, the content of half the namespaces by itself and the rest with them, lets
   * all windows pass, and clears up until nothing is due. Gives what is left.
   */
  async empty(): Promise<readonly string[]> {
    const { registry } = this.isolate(null);
    for (const repository of this.repositories.filter((one) => one.namespaceName === 'none')) {
      const rows = await select('SELECT * FROM manifest WHERE repository_id = ?', repository.id);
      for (const { digest } of rows) {
        const manifest = await registry.lookupManifestByDigest(repository, String(digest), {
          allowDead: true,
        });
        if (manifest !== null) {
          await registry.deleteTagsForManifest(manifest);
        }
      }
    }
    await this.isolate(null).operations.markNamespaceForDeletion('day');
    this.nowMs += 100 * DAY_MS;
    await this.#clearUp();
    const content = leftOf(await footprint(), SETTINGS_TABLES);
    await this.isolate(null).operations.markNamespaceForDeletion('none');
    await this.#clearUp();
    this.nowMs += 100 * DAY_MS;
    const { housekeeping } = this.isolate(null);
    for (let forgotten = 1; forgotten > 0;) {
      forgotten = (await housekeeping.forgetOldRecords()).removals;
    }
    const repositories = await select(
      'SELECT name FROM repository UNION SELECT name FROM namespace',
    );
    return [
      ...content,
      ...repositories.map(String),
      ...leftOf(await footprint(), ['gc_lease', 'gc_audit']),
    ];
  }

  async #clearUp(): Promise<void> {
    for (let round = 0; round < 300; round += 1) {
      const { housekeeping } = this.isolate(null);
      const expired = await housekeeping.expireUploads();
      const { marked, namespaces } = await housekeeping.purgeNamespaces();
      const { repositories: purged } = await housekeeping.purgeRepositories();
      const { repositories, isFinished } = await housekeeping.collectGarbage();
      const { taken } = await housekeeping.drainTombstones();
      const isIdle = expired + marked + namespaces + purged + repositories + taken === 0;
      const [left] = await select(`SELECT (SELECT count(*) FROM r2_tombstone)
        + (SELECT count(*) FROM deleted_repository) + (SELECT count(*) FROM deleted_namespace) AS n`);
      if (isIdle && isFinished && left?.['n'] === 0) {
        return;
      }
      this.nowMs += 7 * HOUR_MS;
    }
    throw new Error('clearing up does not end');
  }
}

/** What a namespace keeps while it has no content, and what is remembered of content. */
const SETTINGS_TABLES = [
  'gc_audit',
  'namespace_quota',
  'quota_namespace_size',
  'quota_repository_size',
  'gc_removal',
  'gc_lease',
  'namespace_retention_policy',
  'repository_retention_policy',
  'retention_task',
];

function leftOf(
  stores: Awaited<ReturnType<typeof footprint>>,
  mayStay: readonly string[],
): readonly string[] {
  return Object.entries(stores).flatMap(([table, left]) =>
    left === 0 || mayStay.includes(table) || (typeof left !== 'number' && left.length === 0)
      ? []
      : [`${table}: ${String(left)}`],
  );
}

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
