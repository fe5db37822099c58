import { describe, type ExpectStatic, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import type { Blob } from '../../../src/model/datatypes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { UPLOAD_CLAIM_MS, UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import type { RegistryOperations } from '../../../src/registry/index.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere } from '../../support/interleave.ts';
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

/** An upload that has received some bytes, and what a client does with it. */
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
    uploadId,
    name,
    behind: (gate: Gate) => openTestRegistry({ gate, clock: world.clock }).operations,
    append: (operations: RegistryOperations, bytes: Bytes, offset: number) =>
      operations.appendChunk(name, uploadId, chunkOf(bytes, offset)),
    finish: async (operations: RegistryOperations, bytes: Bytes) =>
      operations.finishUpload(name, uploadId, closingAs(await digestOf(bytes))),
    finishWhole: async (operations: RegistryOperations, bytes: Bytes) =>
      operations.finishUpload(name, uploadId, closingWith(await digestOf(bytes), bytes)),
    uploadWhole: async (operations: RegistryOperations, bytes: Bytes) =>
      operations.uploadWhole(name, closingWith(await digestOf(bytes), bytes)),
    /** The blob as it can be seen afterwards, whoever stored it. */
    seen: async (bytes: Bytes) => {
      const found = await world.operations.resolveBlob(name, await digestOf(bytes));
      return found?.blob ?? null;
    },
  };
}

type Client = Awaited<ReturnType<typeof aClient>>;

/**
 * Stops the world at every call of an operation. Nothing may be broken then, nor after the graves
 * were emptied; and once the dead one's claim is over, a retry stores exactly the bytes.
 */
async function survives(
  expect: ExpectStatic,
  options: {
    readonly received: Bytes;
    readonly operation: (client: Client, operations: RegistryOperations) => Promise<unknown>;
    readonly retry: (client: Client) => Promise<Blob | null>;
    readonly whole: Bytes;
  },
): Promise<number> {
  const points = await crashEverywhere(async () => {
    const client = await aClient(options.received);
    return {
      operation: (gate) => options.operation(client, client.behind(gate)),
      check: async ({ call, callNumber, when }) => {
        const what = `stopped ${when} call ${callNumber}, ${call.operation}`;
        expect(await findViolations(), what).toEqual([]);
        client.clock.advance(UPLOAD_CLAIM_MS + 1);
        await options.retry(client);
        expect(await client.seen(options.whole), what).not.toBeNull();
        await drainGraves();
        expect(await findViolations(), what).toEqual([]);
      },
    };
  });
  return points.length;
}

/** Appends what is missing of the whole, as a client does that asks where the upload stands. */
async function goOn(client: Client, whole: Bytes): Promise<Blob | null> {
  const { operations, name, uploadId } = client;
  const status = await operations.uploadStatus(name, uploadId);
  const at = status?.byteCount ?? 0;
  if (at < whole.byteLength) {
    await client.append(operations, whole.slice(at), at);
  }
  return client.finish(operations, whole);
}

/** Operations with parts move five million bytes at each attempt. */
const TIMEOUT_MS = 90_000;

describe('I-CRASH: the world may stop at any call of', { timeout: TIMEOUT_MS }, () => {
  it('the start of an upload', async ({ expect }) => {
    const count = await survives(expect, {
      received: new Uint8Array(),
      operation: ({ name }, operations) => operations.startUpload(name),
      retry: (client) => client.finishWhole(client.operations, FIRST),
      whole: FIRST,
    });
    expect(count).toBeGreaterThan(1);
  });

  it('a chunk', async ({ expect }) => {
    const whole = concat(FIRST, NEXT);
    const count = await survives(expect, {
      received: FIRST,
      operation: (client, operations) => client.append(operations, NEXT, 100),
      retry: (client) => goOn(client, whole),
      whole,
    });
    expect(count).toBeGreaterThan(6);
  });

  it('a chunk that fills a part', async ({ expect }) => {
    const whole = concat(FIRST, PARTS);
    const count = await survives(expect, {
      received: FIRST,
      operation: (client, operations) => client.append(operations, PARTS, 100),
      retry: (client) => goOn(client, whole),
      whole,
    });
    expect(count).toBeGreaterThan(10);
  });

  it('a commit of chunks', async ({ expect }) => {
    const count = await survives(expect, {
      received: FIRST,
      operation: (client, operations) => client.finish(operations, FIRST),
      retry: (client) => client.finish(client.operations, FIRST),
      whole: FIRST,
    });
    expect(count).toBeGreaterThan(6);
  });

  it('a commit of parts', async ({ expect }) => {
    const count = await survives(expect, {
      received: PARTS,
      operation: (client, operations) => client.finish(operations, PARTS),
      retry: (client) => client.finish(client.operations, PARTS),
      whole: PARTS,
    });
    expect(count).toBeGreaterThan(8);
  });

  it('a commit with the whole body', async ({ expect }) => {
    const count = await survives(expect, {
      received: new Uint8Array(),
      operation: (client, operations) => client.finishWhole(operations, FIRST),
      retry: (client) => client.finishWhole(client.operations, FIRST),
      whole: FIRST,
    });
    expect(count).toBeGreaterThan(4);
  });

  it('a blob in one request, also where the digest is known', async ({ expect }) => {
    for (const known of [false, true]) {
      const count = await survives(expect, {
        received: new Uint8Array(),
        operation: async (client, operations) => {
          if (known) {
            await client.uploadWhole(client.operations, FIRST);
          }
          return client.uploadWhole(operations, FIRST);
        },
        retry: (client) => client.uploadWhole(client.operations, FIRST),
        whole: FIRST,
      });
      expect(count).toBeGreaterThan(known ? 6 : 4);
    }
  });

  it('a cancellation', async ({ expect }) => {
    const count = await survives(expect, {
      received: FIRST,
      operation: ({ name, uploadId }, operations) => operations.cancelUpload(name, uploadId),
      retry: async (client) => {
        const { operations, name, uploadId } = client;
        await operations.cancelUpload(name, uploadId);
        expect(await operations.uploadStatus(name, uploadId)).toBeNull();
        expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
        return client.uploadWhole(operations, FIRST);
      },
      whole: FIRST,
    });
    expect(count).toBeGreaterThan(2);
  });
});
