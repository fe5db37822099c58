import { describe, type ExpectStatic, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import type { RegistryOperations } from '../../../src/registry/index.ts';
import { uniqueBytes } from '../../support/content.ts';
import { failing } from '../../support/faults.ts';
import type { Gate, StoreCall } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  concat,
  drainGraves,
  forgetBlobs,
  nameOf,
  rowsOf,
} from '../../support/uploads.ts';

const FIRST = uniqueBytes(100);
const NEXT = uniqueBytes(60);
const PARTS = uniqueBytes(UPLOAD_PART_BYTES + 30);

const digestOf = (bytes: Bytes) => computeDigest('sha256', bytes);

/** D1 answers nothing at all. */
const withoutD1: Gate = async (call, run) => {
  if (call.store === 'd1') {
    throw new Error('D1_ERROR: Network connection lost.');
  }
  return run();
};

async function aClient(received: Bytes) {
  await forgetBlobs();
  const world = openTestRegistry();
  const repository = await aRepository(world);
  const name = nameOf(repository);
  const { uploadId } = await anUpload(world, repository);
  if (received.byteLength > 0) {
    await world.operations.appendChunk(name, uploadId, chunkOf(received));
  }
  return {
    ...world,
    name,
    uploadId,
    append: (operations: RegistryOperations, bytes: Bytes, offset: number) =>
      operations.appendChunk(name, uploadId, chunkOf(bytes, offset)),
    finish: async (operations: RegistryOperations, bytes: Bytes) =>
      operations.finishUpload(name, uploadId, closingAs(await digestOf(bytes))),
    finishWhole: async (operations: RegistryOperations, bytes: Bytes) =>
      operations.finishUpload(name, uploadId, closingWith(await digestOf(bytes), bytes)),
    uploadWhole: async (operations: RegistryOperations, bytes: Bytes) =>
      operations.uploadWhole(name, closingWith(await digestOf(bytes), bytes)),
    seen: async (bytes: Bytes) =>
      (await world.operations.resolveBlob(name, await digestOf(bytes)))?.blob ?? null,
  };
}

type Client = Awaited<ReturnType<typeof aClient>>;

interface Plan {
  readonly received: Bytes;
  readonly operation: (client: Client, operations: RegistryOperations) => Promise<unknown>;
  /** What a client does after a failure; with the blob of these bytes at the end. */
  readonly retry: (client: Client) => Promise<unknown>;
  readonly whole: Bytes;
}

const PLANS: Readonly<Record<string, Plan>> = {
  'a chunk': {
    received: FIRST,
    operation: (client, operations) => client.append(operations, NEXT, 100),
    retry: (client) => goOn(client, concat(FIRST, NEXT)),
    whole: concat(FIRST, NEXT),
  },
  'a chunk that fills a part': {
    received: FIRST,
    operation: (client, operations) => client.append(operations, PARTS, 100),
    retry: (client) => goOn(client, concat(FIRST, PARTS)),
    whole: concat(FIRST, PARTS),
  },
  'a commit of chunks': {
    received: FIRST,
    operation: (client, operations) => client.finish(operations, FIRST),
    retry: (client) => client.finish(client.operations, FIRST),
    whole: FIRST,
  },
  'a commit of parts': {
    received: PARTS,
    operation: (client, operations) => client.finish(operations, PARTS),
    retry: (client) => client.finish(client.operations, PARTS),
    whole: PARTS,
  },
  'a commit with the whole body': {
    received: new Uint8Array(),
    operation: (client, operations) => client.finishWhole(operations, FIRST),
    // A closing request that fails gives its upload up.
    retry: (client) => client.uploadWhole(client.operations, FIRST),
    whole: FIRST,
  },
  'a blob in one request': {
    received: new Uint8Array(),
    operation: (client, operations) => client.uploadWhole(operations, FIRST),
    retry: (client) => client.uploadWhole(client.operations, FIRST),
    whole: FIRST,
  },
  'a blob in one request whose digest is known': {
    received: new Uint8Array(),
    operation: async (client, operations) => {
      await client.uploadWhole(client.operations, FIRST);
      return client.uploadWhole(operations, FIRST);
    },
    retry: (client) => client.uploadWhole(client.operations, FIRST),
    whole: FIRST,
  },
};

async function goOn(client: Client, whole: Bytes): Promise<unknown> {
  const { operations, name, uploadId } = client;
  const at = (await operations.uploadStatus(name, uploadId))?.byteCount ?? 0;
  if (at < whole.byteLength) {
    await client.append(operations, whole.slice(at), at);
  }
  return client.finish(operations, whole);
}

/** Objects that nobody owns survive the graves, and a blob whose key is in one does not. */
async function expectSound(expect: ExpectStatic, what: string): Promise<void> {
  await drainGraves();
  expect(await findViolations(), what).toEqual([]);
}

/** Runs the plan once for each call of the store and each way in which it fails. */
async function failEverywhere(
  plan: Plan,
  store: StoreCall['store'],
  check: (client: Client, outcome: PromiseSettledResult<unknown>, what: string) => Promise<void>,
): Promise<number> {
  for (let callNumber = 1; ; callNumber += 1) {
    for (const when of ['before', 'after'] as const) {
      const client = await aClient(plan.received);
      const { gate, failedCall } = failing({ store, callNumber, when });
      const { operations } = openTestRegistry({ gate, clock: client.clock });
      const [outcome] = await Promise.allSettled([plan.operation(client, operations)]);
      const call = failedCall();
      if (call === null) {
        return callNumber - 1;
      }
      await check(client, outcome, `${call.operation}, call ${callNumber}, failed ${when}`);
    }
  }
}

/** Plans with parts move five million bytes at each attempt. */
const TIMEOUT_MS = 90_000;

describe.for(Object.entries(PLANS))('%s', { timeout: TIMEOUT_MS }, ([, plan]) => {
  it('I-IDEM: succeeds although the answer to any one call of D1 is lost', async ({ expect }) => {
    const count = await failEverywhere(plan, 'd1', async (client, outcome, what) => {
      expect(outcome, what).toMatchObject({ status: 'fulfilled' });
      expect(outcome.status === 'fulfilled' && outcome.value, what).not.toBeNull();
      if ((await client.seen(plan.whole)) === null) {
        await client.finish(client.operations, plan.whole);
      }
      expect(await client.seen(plan.whole), what).not.toBeNull();
      await expectSound(expect, what);
    });
    expect(count).toBeGreaterThan(1);
  });

  it('leaves nothing wrong when a call of R2 fails, and a retry succeeds', async ({ expect }) => {
    const count = await failEverywhere(plan, 'r2', async (client, outcome, what) => {
      // A read is sent again at once.
      const isRead = /^(?:get|head),/.test(what);
      expect(outcome.status, what).toBe(isRead ? 'fulfilled' : 'rejected');
      await plan.retry(client);
      expect(await client.seen(plan.whole), what).not.toBeNull();
      await expectSound(expect, what);
    });
    expect(count).toBeGreaterThan(0);
  });
});

describe('lost answers', () => {
  it('to the start of an upload leave the one that is told of', async ({ expect }) => {
    for (const when of ['before', 'after'] as const) {
      const client = await aClient(new Uint8Array());
      const { gate } = failing({ store: 'd1', callNumber: 1, when });
      const { operations } = openTestRegistry({ gate, clock: client.clock });
      const upload = await operations.startUpload(client.name);
      const found = await client.operations.uploadStatus(client.name, upload?.uploadId ?? '');
      expect(found).toEqual(upload);
      await expectSound(expect, when);
    }
  });

  it('to a cancellation leave it cancelled, and say so', async ({ expect }) => {
    for (const callNumber of [1, 2]) {
      for (const when of ['before', 'after'] as const) {
        const client = await aClient(FIRST);
        const { gate } = failing({ store: 'd1', callNumber, when });
        const { operations } = openTestRegistry({ gate, clock: client.clock });
        const cancelled = await operations
          .cancelUpload(client.name, client.uploadId)
          .catch(() => client.operations.cancelUpload(client.name, client.uploadId));
        expect(cancelled).toBe(true);
        expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
        await expectSound(expect, when);
      }
    }
  });

  it('to every sending are told of, and leave no blob with wrong bytes', async ({ expect }) => {
    const client = await aClient(FIRST);
    const { operations } = openTestRegistry({ gate: withoutD1, clock: client.clock });
    await expect(client.append(operations, NEXT, 100)).rejects.toMatchObject({
      name: 'AnswerLost',
    });
    await expect(client.finish(operations, FIRST)).rejects.toMatchObject({ name: 'AnswerLost' });
    await expectSound(expect, 'always lost');
  });
});
