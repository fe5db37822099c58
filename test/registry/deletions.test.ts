import { describe, it } from 'vitest';

import type { Blob } from '../../src/model/datatypes.ts';
import { computeDigest } from '../../src/model/digest.ts';
import { TOMBSTONE_GRACE_MS } from '../../src/model/limits.ts';
import { pushTagged, uniqueBytes } from '../support/content.ts';
import type { Gate } from '../support/gate.ts';
import { crashEverywhere, interleaveAll, type Racer } from '../support/interleave.ts';
import { findViolations } from '../support/invariants.ts';
import { losing } from '../support/lost-answers.ts';
import { holdings, purgeAll } from '../support/purge.ts';
import { aRepository, openTestRegistry } from '../support/registry.ts';
import { codeOf, openStage, select, storeBlob, valueOf } from '../support/stage.ts';
import { anUpload, chunkOf, closingAs, graves, nameOf } from '../support/uploads.ts';

async function aWorld() {
  const world = openTestRegistry();
  return { ...world, repository: await aRepository(world) };
}

describe('a repository that is marked for deletion', () => {
  it('scenario 59 (blobs): frees its name at once, for a repository with another id', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { repository, operations, registry, settleDeferred } = world;
    const { namespaceName, name } = repository;
    await pushTagged(world, repository, { tagName: 'old' });
    const page = () => registry.lookupCachedActiveRepositoryTags(repository, null, 10);
    expect((await page()).items.map((tag) => tag.name)).toEqual(['old']);
    await settleDeferred();
    expect(await operations.markRepositoryForDeletion(repository)).toBe(true);
    expect(await registry.lookupRepository(namespaceName, name)).toBeNull();
    const again = await aRepository(world, nameOf(repository));
    expect(again.id).not.toBe(repository.id);
    const pageOfNew = await registry.lookupCachedActiveRepositoryTags(again, null, 10);
    expect(pageOfNew.items).toEqual([]);
    await pushTagged(world, again, { tagName: 'new' });
    await purgeAll(world);
    const left = await registry.lookupActiveRepositoryTags(again, null, 10);
    expect(left.items.map((tag) => tag.name)).toEqual(['new']);
    expect(await findViolations()).toEqual([]);
  });

  it('gives its uploads up, with what they have in R2', async ({ expect }) => {
    const world = await aWorld();
    const { repository, operations, clock, housekeeping } = world;
    const other = await aRepository(world);
    const kept = await anUpload(world, other);
    const { uploadId } = await anUpload(world, repository);
    await operations.appendChunk(nameOf(repository), uploadId, chunkOf(uniqueBytes(100)));
    await operations.markRepositoryForDeletion(repository);
    expect(await select('SELECT uuid FROM blob_upload')).toEqual([{ uuid: kept.uploadId }]);
    expect(await graves()).toHaveLength(2);
    expect(await findViolations()).toEqual([]);
    clock.advance(TOMBSTONE_GRACE_MS);
    expect(await housekeeping.drainTombstones()).toMatchObject({ removed: 2 });
  });

  it('is marked once; what it was called is noted', async ({ expect }) => {
    const { repository, operations, clock } = await aWorld();
    expect(await operations.markRepositoryForDeletion(repository)).toBe(true);
    const marked = await select('SELECT * FROM repository');
    clock.advance(1000);
    expect(await operations.markRepositoryForDeletion(repository)).toBe(false);
    expect(await operations.markRepositoryForDeletion({ ...repository, id: 999 })).toBe(false);
    expect(await select('SELECT * FROM repository')).toEqual(marked);
    expect(marked[0]).toMatchObject({ state: 3, name: expect.stringMatching(/^[\da-f-]{36}$/) });
    expect(await select('SELECT original_name, marked_ms FROM deleted_repository')).toEqual([
      { original_name: repository.name, marked_ms: clock.nowMs() - 1000 },
    ]);
  });

  it('is marked by the call whose answer is lost, and says so', async ({ expect }) => {
    for (const fate of ['committed, then lost', 'lost before'] as const) {
      const { repository, clock } = await aWorld();
      const { gate, losses } = losing([fate, fate]);
      const { operations } = openTestRegistry({ clock, gate });
      expect(await operations.markRepositoryForDeletion(repository)).toBe(true);
      expect(losses()).toBe(2);
      const markers = await select(
        'SELECT * FROM deleted_repository WHERE repository_id = ?',
        repository.id,
      );
      expect(markers).toHaveLength(1);
    }
  });
});

/** Only batches wait for their turn: no other call of a removal writes to what it removes. */
function batchesOnly(gate: Gate): Gate {
  return (call, run) => (call.operation === 'batch' ? gate(call, run) : run());
}

/** An image with a tag in a repository of its own, and an image that is about to be pushed. */
async function aSmallRepository() {
  const stage = await openStage();
  const { repository, clock } = stage;
  const { manifest } = await stage.push('v1', await stage.image());
  return {
    ...stage,
    manifest,
    next: await stage.image(),
    /** Marks the repository and purges it, as far as the limits go. */
    remove: async (gate: Gate, statements = 300) => {
      const behind = openTestRegistry({ clock, gate });
      await behind.operations.markRepositoryForDeletion(repository);
      await behind.housekeeping.purgeRepositories({ statements });
    },
  };
}

type Small = Awaited<ReturnType<typeof aSmallRepository>>;

/** Writes that race a removal: each prepares the world and gives what is to be done. */
const WRITES: Readonly<Record<string, (small: Small) => Promise<Racer<unknown>>>> = {
  push: ({ push, next }) => Promise.resolve((gate) => push('v2', next, gate)),
  'move of a tag': ({ behind, repository, manifest }) =>
    Promise.resolve((gate) => behind(gate).retargetTag(repository, 'v3', manifest)),
  mount: async ({ behind, registry, repository, ...small }) => {
    const elsewhere = await aRepository(small);
    const { digest } = await storeBlob(elsewhere, uniqueBytes());
    const blob = await registry.getRepoBlobByDigest(elsewhere, digest);
    return (gate) => behind(gate).mountBlobIntoRepository(blob as Blob, repository, 60);
  },
  'commit of an upload': async ({ operations, operationsBehind, repository }) => {
    const received = uniqueBytes(10);
    const name = nameOf(repository);
    const { uploadId } = await anUpload({ operations }, repository);
    await operations.appendChunk(name, uploadId, chunkOf(received));
    const closing = closingAs(await computeDigest('sha256', received));
    return (gate) => operationsBehind(batchesOnly(gate)).finishUpload(name, uploadId, closing);
  },
};

/** Gives up every repository that there is, and removes all. */
async function removeAll(small: Small) {
  for (const { id } of await select('SELECT id FROM repository WHERE state <> 3')) {
    await small.operations.markRepositoryForDeletion({ ...small.repository, id: Number(id) });
  }
  await purgeAll(small);
}

const NOTHING_LEFT = {
  repositories: 0,
  manifest: 0,
  tag: 0,
  blob: 0,
  uploaded_blob: 0,
  blob_upload: 0,
  r2_tombstone: 0,
  objects: [],
};

/** To take up, a step of manifests and one of leases: the mark and these are three batches. */
const THREE_BATCHES = { statements: 15 };
const REFUSALS = ['RepositoryNotFound', 'RetargetFailed', 'UploadConflict'];

describe('the removal of a repository', () => {
  it.for(Object.keys(WRITES))(
    'I-FROZEN: and the %s: that lands before the mark, or fails; nothing is left',
    async (name, { expect }) => {
      let landed = 0;
      const schedules = await interleaveAll(async () => {
        const small = await aSmallRepository();
        const write = await WRITES[name]?.(small);
        if (write === undefined) {
          throw new Error(`no write '${name}'`);
        }
        return {
          racers: [(gate) => small.remove(batchesOnly(gate), THREE_BATCHES.statements), write],
          check: async ([removal, outcome], schedule) => {
            valueOf(removal);
            const code = codeOf(outcome);
            if (code === null && valueOf(outcome) !== null && valueOf(outcome) !== false) {
              landed += 1;
              expect(schedule).toMatch(/^B+A+$/);
            }
            expect([null, ...REFUSALS], schedule).toContain(code);
            expect(await findViolations(), schedule).toEqual([]);
            await removeAll(small);
            expect(await holdings(), schedule).toMatchObject(NOTHING_LEFT);
          },
        };
      });
      expect(landed).toBe(1);
      expect(schedules).toBeGreaterThan(3);
    },
  );

  it('I-CRASH: may stop at any call; the next runs finish its work', async ({ expect }) => {
    const points = await crashEverywhere(async () => {
      const small = await aSmallRepository();
      await anUpload(small, small.repository);
      return {
        operation: small.remove,
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect(await findViolations(), what).toEqual([]);
          await removeAll(small);
          expect(await holdings(), what).toMatchObject(NOTHING_LEFT);
          expect(await findViolations(), what).toEqual([]);
        },
      };
    });
    expect(points.length).toBeGreaterThan(12);
  });
});
