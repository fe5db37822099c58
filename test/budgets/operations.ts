import { env } from 'cloudflare:workers';

import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { computeDigest } from '../../src/model/digest.ts';
import { BLOB_KEPT_BYTES_MAX } from '../../src/model/limits.ts';
import type { TagName } from '../../src/model/names.ts';
import { SECOND_MS, START_MS } from '../support/clock.ts';
import {
  anImage,
  anIndex,
  pushBlob,
  pushTagged,
  streamOf,
  uniqueBytes,
} from '../support/content.ts';
import { lookUp, type Scene } from '../support/costs.ts';
import { repositoryNamed } from '../support/quota.ts';
import { pullByDigest } from '../support/recorded-pulls.ts';
import { openTestRegistry } from '../support/registry.ts';
import { pastOf } from '../support/time-travel.ts';
import { LIFECYCLE } from './lifecycle.ts';
import { NOTIFICATIONS } from './notifications.ts';

/** What an operation may ask of the stores. */
export interface Budget {
  readonly roundTrips: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly r2Reads?: number;
  readonly r2Writes?: number;
  readonly kvReads?: number;
  readonly kvWrites?: number;
}

const PAGE = 50;
const CHUNK_BYTES = 5 * 1024 * 1024;

const pullByTag =
  (withBytes: boolean): Scene =>
  async ({ name }) =>
  ({ operations }) =>
    operations.resolveTag(name, 'latest' as TagName, { withBytes });

const resolveByDigest: Scene = async ({ registry, repository, name }) => {
  const { manifest } = await pushTagged(registry, repository, { tagName: 'by-digest' });
  return ({ operations }) => operations.resolveManifest(name, manifest.digest, { withBytes: true });
};

/** A pull with what goes on behind its answer: the report of it, and what holds the manifest. */
const recordedPull =
  ({ heldDays, isHeld = false }: { heldDays: number; isHeld?: boolean }): Scene =>
  async (world) => {
    const { registry, repository } = world;
    await registry.operations.changeNamespace(repository.namespaceName, {
      heldByPullDays: heldDays,
    });
    const { manifest } = await pushTagged(registry, repository, { tagName: 'by-digest' });
    if (isHeld) {
      await pullByDigest(openTestRegistry(), repository, manifest.digest);
    }
    // As many ended generations on the manifest as the filling has tags.
    await env.DB.prepare(
      `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current)
      SELECT ?1, 'old', ?2, 0, 0, 0 FROM tag
      WHERE repository_id = ?1 AND is_current = 1 AND name GLOB 'x*'`,
    )
      .bind(repository.id, manifest.id)
      .run();
    return (counted) => pullByDigest(counted, repository, manifest.digest);
  };

/**
 * What a tag pointed to in the past, among as many generations of its name as the filling has
 * tags; `isHeld` says whether another tag holds that manifest now.
 */
const pullPast =
  ({ isHeld, literalName = null }: { isHeld: boolean; literalName?: string | null }): Scene =>
  async ({ registry, repository }) => {
    const { manifest } = await pushTagged(registry, repository, { tagName: 'moved' });
    if (!isHeld) {
      await registry.registry.deleteTag(repository, 'moved');
    }
    await env.DB.prepare(
      `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current)
      SELECT ?1, 'moved', ?2, ?3 - 10 * row_number() OVER (), ?3 - 10 * row_number() OVER () + 10, 0
      FROM tag WHERE repository_id = ?1 AND is_current = 1 AND name GLOB 'x*'`,
    )
      .bind(repository.id, manifest.id, START_MS)
      .run();
    return async (counted) => {
      const answer = await pastOf(counted, repository)('moved', START_MS - 55, literalName);
      if (answer?.found?.tag.lifetimeStartMs !== START_MS - 60) {
        throw new Error('not the generation of that time');
      }
    };
  };

const pullBlob =
  (sizeBytes: number): Scene =>
  async ({ registry, repository, name }) => {
    const { digest } = await pushBlob(registry, repository, uniqueBytes(sizeBytes));
    return async ({ operations }) => {
      const { blob } = (await operations.resolveBlob(name, digest)) ?? {};
      const body = blob && (await operations.openBlob(blob));
      await (body && new Response(body).arrayBuffer());
    };
  };

/** Of a size that locations keep. */
const pullSmallBlob = pullBlob(1024);
const pullLargeBlob = pullBlob(BLOB_KEPT_BYTES_MAX + 1);

/** A manifest that only its own tag's index, so many indexes above it, makes available. */
const pullChild =
  (depth: number): Scene =>
  async ({ registry, repository, name }) => {
    const child = await anImage(registry, repository);
    const store = (manifest: ParsedManifest) =>
      registry.registry.createManifestWithTempTag(repository, manifest, 1);
    await store(child);
    let top = child;
    for (let level = 0; level < depth; level += 1) {
      top = await anIndex([top]);
      await store(top);
    }
    await pushTagged(registry, repository, { tagName: 'top', manifest: top });
    registry.clock.advance(10 * SECOND_MS);
    // As the sweep leaves it: what is over does not hold its slot.
    await env.DB.prepare('UPDATE tag SET is_current = 0 WHERE lifetime_end_ms <= ?')
      .bind(registry.clock.nowMs())
      .run();
    return ({ operations, clock }) => {
      clock.set(registry.clock.nowMs());
      return operations.resolveManifest(name, child.digest, { withBytes: true });
    };
  };

const listReferrers =
  (count: number): Scene =>
  async ({ registry, repository, name }) => {
    const { manifest } = await pushTagged(registry, repository, { tagName: 'subject' });
    const { digest, mediaType, sizeBytes: size } = manifest;
    for (let index = 0; index < count; index += 1) {
      const referrer = await anImage(registry, repository, {
        subject: { mediaType, size, digest },
      });
      await registry.registry.createManifestWithTempTag(repository, referrer, 60);
    }
    return ({ operations }) => operations.listReferrers(name, digest);
  };

/** The same a second time, in the location that was asked before. */
const warm =
  (scene: Scene): Scene =>
  async (world) => {
    const operation = await scene(world);
    await operation(world.registry);
    await world.registry.settleDeferred();
    return operation;
  };

const cachedBlob: Scene = async ({ registry, repository, name }) => {
  const { digest } = await pushBlob(registry, repository);
  return (counted) => counted.registry.getCachedRepoBlob(name.namespace, name.repository, digest);
};

const headBlobToPush: Scene = async ({ registry, repository, name }) => {
  const { digest } = await pushBlob(registry, repository);
  return ({ operations }) => operations.resolveBlobForPush(name, digest);
};

const listTags: Scene =
  async ({ name }) =>
  ({ operations }) =>
    operations.resolveTagPage(name, null, PAGE);

const pushBlobInOneRequest =
  (isKnown: boolean): Scene =>
  async ({ registry, repository, name }) => {
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    if (isKnown) {
      await pushBlob(registry, repository, bytes);
    }
    return async ({ operations }) => {
      const started = await operations.startUpload(name);
      const body = streamOf(bytes);
      const closing = { digest, body, offset: null, length: bytes.byteLength };
      await operations.finishUpload(name, started?.uploadId ?? '', closing);
    };
  };

const pushBlobInChunks =
  (chunks: number): Scene =>
  async ({ name }) => {
    const bytes = uniqueBytes(chunks * CHUNK_BYTES);
    const digest = await computeDigest('sha256', bytes);
    return async ({ operations }) => {
      const uploadId = (await operations.startUpload(name))?.uploadId ?? '';
      for (let offset = 0; offset < bytes.byteLength; offset += CHUNK_BYTES) {
        const body = streamOf(bytes.slice(offset, offset + CHUNK_BYTES));
        await operations.appendChunk(name, uploadId, { body, offset, length: CHUNK_BYTES });
      }
      const closing = { digest, body: null, offset: null, length: null };
      await operations.finishUpload(name, uploadId, closing);
    };
  };

const pushManifest =
  ({ layers, labels }: { layers: number; labels: number }): Scene =>
  async ({ registry, repository, name }) => {
    const pairs = Array.from({ length: labels }, (_, index) => [`label-${index}`, 'value']);
    const image = await anImage(registry, repository, {
      layers,
      labels: Object.fromEntries(pairs) as Record<string, string>,
    });
    return async (counted) => {
      const found = await lookUp(counted, name);
      await counted.registry.createManifestAndRetargetTag(found, image, `pushed-${layers}`);
    };
  };

/** The same where a namespace has a quota: the one that is pushed to, or another. */
const underQuota =
  (scene: Scene, whose: 'its own' | "another's" = 'its own'): Scene =>
  async (world) => {
    const operation = await scene(world);
    const { operations } = world.registry;
    await repositoryNamed(world.registry, 'other/app');
    const limits = { limitBytes: 1_000_000_000, warningPercent: 80, rejectPercent: 100 };
    const namespaceName = whose === 'its own' ? world.name.namespace : 'other';
    await operations.setQuota(namespaceName, limits);
    return operation;
  };

const perManifest = (layers: number, labels: number): Budget => ({
  roundTrips: 3,
  rowsRead: 60 + 14 * layers + 8 * labels,
  rowsWritten: 30 + 2 * layers + 4 * labels,
  r2Reads: 1,
});

/** Each blob is looked at once more for the refusal, and for each of the two sizes. */
const perManifestUnderQuota = (layers: number, labels: number): Budget => {
  const budget = perManifest(layers, labels);
  return { ...budget, rowsRead: budget.rowsRead + 14 * (layers + 1) };
};

const perChunks = (chunks: number): Budget => ({
  roundTrips: 4 + 2 * chunks,
  rowsRead: 60 + 16 * chunks + 3 * chunks,
  rowsWritten: 40 + 10 * chunks,
  r2Reads: 1 + chunks,
  r2Writes: 2 + 2 * chunks,
});

/** A pull in one round trip that writes nothing, and what is done behind its answer. */
const behind = (roundTrips: number, rowsRead: number, rowsWritten: number): Budget => ({
  roundTrips: 1 + roundTrips,
  rowsRead: 8 + rowsRead,
  rowsWritten,
});

/** Each operation of the registry that has a budget, with it. */
export const BUDGETS: readonly (readonly [string, Scene, Budget])[] = [
  ['GET manifest by tag', pullByTag(true), { roundTrips: 1, rowsRead: 8, rowsWritten: 0 }],
  ['HEAD manifest by tag', pullByTag(false), { roundTrips: 1, rowsRead: 8, rowsWritten: 0 }],
  ['GET of a past tag', pullPast({ isHeld: true }), { roundTrips: 1, rowsRead: 8, rowsWritten: 0 }],
  [
    'GET of a past tag by name',
    pullPast({ isHeld: true, literalName: 'moved.at.20261101Z' }),
    { roundTrips: 1, rowsRead: 8, rowsWritten: 0 },
  ],
  [
    'GET of a past tag, not held',
    pullPast({ isHeld: false }),
    { roundTrips: 2, rowsRead: 32, rowsWritten: 8 },
  ],
  ['GET manifest by digest', resolveByDigest, { roundTrips: 1, rowsRead: 8, rowsWritten: 0 }],
  ['GET child of an index', pullChild(1), { roundTrips: 1, rowsRead: 8, rowsWritten: 0 }],
  ['GET child, 3 indexes up', pullChild(3), { roundTrips: 1, rowsRead: 8 + 2 * 2, rowsWritten: 0 }],
  [
    'referrers, 10 of them',
    listReferrers(10),
    { roundTrips: 1, rowsRead: 4 + 2 * 10, rowsWritten: 0 },
  ],
  ['GET by digest, and its report', recordedPull({ heldDays: 0 }), behind(1, 8, 1)],
  ['GET by digest that is held by it', recordedPull({ heldDays: 7 }), behind(2, 32, 9)],
  [
    'GET by digest that is held already',
    recordedPull({ heldDays: 7, isHeld: true }),
    behind(2, 16, 1),
  ],
  ['GET small blob', pullSmallBlob, { roundTrips: 1, rowsRead: 6, rowsWritten: 0, r2Reads: 1 }],
  ['GET large blob', pullLargeBlob, { roundTrips: 1, rowsRead: 6, rowsWritten: 0, r2Reads: 1 }],
  [
    'GET manifest by digest, warm',
    warm(resolveByDigest),
    { roundTrips: 0, rowsRead: 0, rowsWritten: 0 },
  ],
  ['GET small blob, warm', warm(pullSmallBlob), { roundTrips: 0, rowsRead: 0, rowsWritten: 0 }],
  [
    'GET large blob, warm',
    warm(pullLargeBlob),
    { roundTrips: 0, rowsRead: 0, rowsWritten: 0, r2Reads: 1 },
  ],
  [
    'cached blob, cold',
    cachedBlob,
    { roundTrips: 2, rowsRead: 4 + 6, rowsWritten: 0, kvReads: 1, kvWrites: 1 },
  ],
  [
    'cached blob, warm',
    warm(cachedBlob),
    { roundTrips: 1, rowsRead: 4, rowsWritten: 0, kvReads: 1 },
  ],
  ['HEAD blob, pusher', headBlobToPush, { roundTrips: 1, rowsRead: 12, rowsWritten: 0 }],
  [
    'tags list, cold',
    listTags,
    { roundTrips: 2, rowsRead: PAGE + 8, rowsWritten: 0, kvReads: 1, kvWrites: 1 },
  ],
  ['tags list, warm', warm(listTags), { roundTrips: 1, rowsRead: 4, rowsWritten: 0, kvReads: 1 }],
  [
    'blob push, one request',
    pushBlobInOneRequest(false),
    { roundTrips: 3, rowsRead: 40, rowsWritten: 20, r2Writes: 1 },
  ],
  [
    'blob push, digest known',
    pushBlobInOneRequest(true),
    { roundTrips: 3, rowsRead: 40, rowsWritten: 20, r2Writes: 1, r2Reads: 1 },
  ],
  ['blob push, 1 chunk', pushBlobInChunks(1), perChunks(1)],
  ['blob push, 4 chunks', pushBlobInChunks(4), perChunks(4)],
  ['manifest push, 1 layer', pushManifest({ layers: 1, labels: 0 }), perManifest(1, 0)],
  ['manifest push, 20 layers', pushManifest({ layers: 20, labels: 0 }), perManifest(20, 0)],
  ['manifest push, 10 labels', pushManifest({ layers: 1, labels: 10 }), perManifest(1, 10)],
  [
    'manifest push, 20 layers, quota',
    underQuota(pushManifest({ layers: 20, labels: 0 })),
    perManifestUnderQuota(20, 0),
  ],
  [
    "manifest push, 20 layers, another's quota",
    underQuota(pushManifest({ layers: 20, labels: 0 }), "another's"),
    perManifest(20, 0),
  ],
  [
    'blob push, one request, quota',
    underQuota(pushBlobInOneRequest(false)),
    { roundTrips: 3, rowsRead: 40 + 2 * 7, rowsWritten: 20, r2Writes: 1 },
  ],
  [
    'blob push, 4 chunks, quota',
    underQuota(pushBlobInChunks(4)),
    { ...perChunks(4), rowsRead: perChunks(4).rowsRead + 6 * 7 },
  ],
  ...LIFECYCLE,
  ...NOTIFICATIONS,
];
