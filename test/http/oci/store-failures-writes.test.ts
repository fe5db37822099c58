import { describe, type ExpectStatic, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { MANIFEST_INLINE_BYTES_MAX, UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import { addMember, aNamespace, anAccount } from '../../support/accounts.ts';
import { uniqueBytes } from '../../support/content.ts';
import { failing, type Fault, type GatedIsolate, gatedIsolate } from '../../support/faults.ts';
import {
  aName,
  type Answer,
  basic,
  type Call,
  imageIn,
  locationOf,
  pushImage,
  putManifest,
  refusal,
  send,
  type SentManifest,
  startUpload,
  uploadBlob,
  withQuery,
} from '../../support/http.ts';
import { Witness } from '../../support/invariants.ts';
import { execute } from '../../support/stage.ts';
import { concat, drainGraves } from '../../support/uploads.ts';

type Request = readonly [method: string, path: string, call?: Call];
type Send = (...request: Request) => Promise<Answer>;

/** A write in a world of its own. */
interface Write {
  readonly request: Request;
  /** The status of its success. */
  readonly done: number;
  /** What a client does that was told to come again; by default it sends the same. */
  readonly comeAgain?: (send: Send) => Promise<Answer>;
  /** What that may end with, besides success: what is right if the first one landed. */
  readonly landed?: string;
  /** How it looks afterwards, whatever happened on the way, and how it should. */
  readonly after: (answer: Answer) => Promise<readonly [actual: unknown, wanted: unknown]>;
}

const pathOf = (name: string, digest: string) => `/v2/${name}/blobs/${digest}`;

/** A body whose length is announced; by itself a request of these tests has none. */
const announced = (body: Bytes): Call => ({
  headers: { 'Content-Length': String(body.byteLength) },
  body,
});

const wholeBlob = (name: string, digest: string, body: Bytes): Request => [
  'POST',
  `/v2/${name}/blobs/uploads/?digest=${digest}`,
  announced(body),
];

/** Whether a blob is there with these bytes; to compare millions of them by `toEqual` takes long. */
async function hasBytes(name: string, bytes: Bytes): Promise<boolean> {
  const found = await send('GET', pathOf(name, await computeDigest('sha256', bytes)));
  return (
    found.status === 200 &&
    found.bytes.byteLength === bytes.byteLength &&
    crypto.subtle.timingSafeEqual(found.bytes, bytes)
  );
}

const FIRST = uniqueBytes(100);
const PARTS = uniqueBytes(UPLOAD_PART_BYTES + 30);

async function aBlobInOneRequest({ isKnown = false } = {}): Promise<Write> {
  const [name, bytes] = [aName(), uniqueBytes()];
  const digest = await computeDigest('sha256', bytes);
  if (isKnown) {
    await uploadBlob(aName(), bytes);
  }
  return {
    request: wholeBlob(name, digest, bytes),
    done: 201,
    after: async () => [await hasBytes(name, bytes), true],
  };
}

/** Goes on where the upload stands; starts over if it is not there any more. */
async function aChunk(next: Bytes): Promise<Write> {
  const name = aName();
  const session = await startUpload(name);
  await send('PATCH', session, { body: FIRST });
  const whole = concat(FIRST, next);
  const digest = await computeDigest('sha256', whole);
  const append = (from: number): Request => [
    'PATCH',
    session,
    {
      headers: { 'Content-Range': `${from}-${whole.byteLength - 1}` },
      body: whole.subarray(from),
    },
  ];
  return {
    request: append(FIRST.byteLength),
    done: 202,
    comeAgain: async (client) => {
      const status = await client('GET', session);
      const last = Number(status.headers.get('Range')?.split('-')[1]);
      return last + 1 === whole.byteLength ? status : client(...append(last + 1));
    },
    landed: '204',
    async after() {
      await send('PUT', withQuery(session, { digest }));
      return [await hasBytes(name, whole), true];
    },
  };
}

/** Asks how far the upload is and closes it; starts over if it is not there any more. */
async function aClose({
  received,
  body = null,
}: {
  received: Bytes | null;
  body?: Bytes | null;
}): Promise<Write> {
  const name = aName();
  const session = await startUpload(name);
  if (received !== null) {
    await send('PATCH', session, { body: received });
  }
  const whole = concat(received ?? new Uint8Array(), body ?? new Uint8Array());
  const digest = await computeDigest('sha256', whole);
  const close = (rest: Bytes | null): Request => [
    'PUT',
    withQuery(session, { digest }),
    rest === null ? {} : announced(rest),
  ];
  return {
    request: close(body),
    done: 201,
    async comeAgain(client) {
      const status = await client('GET', session);
      const last = Number(status.headers.get('Range')?.split('-')[1]);
      const rest = last === 0 ? whole : whole.subarray(last + 1);
      const isOpen = status.status === 204;
      const again = isOpen && (await client(...close(rest.byteLength === 0 ? null : rest)));
      return again === false ? client(...wholeBlob(name, digest, whole)) : again;
    },
    after: async () => [await hasBytes(name, whole), true],
  };
}

async function aManifest({
  reference,
  make = imageIn,
}: {
  reference?: string;
  make?: (name: string) => Promise<SentManifest>;
}): Promise<Write> {
  const name = aName();
  const { digest, mediaType, bytes } = await make(name);
  const path = `/v2/${name}/manifests/${reference ?? digest}`;
  return {
    request: ['PUT', path, { headers: { 'Content-Type': mediaType }, body: bytes }],
    done: 201,
    async after() {
      const { status, text } = await send('GET', path);
      return [
        [status, text],
        [200, new TextDecoder().decode(bytes)],
      ];
    },
  };
}

async function aDelete(pathIn: (name: string) => Promise<string>, unknown: string): Promise<Write> {
  const path = await pathIn(aName());
  return {
    request: ['DELETE', path],
    done: 202,
    landed: unknown,
    after: async () => [refusal(await send('GET', path)), unknown],
  };
}

const WRITES: Readonly<Record<string, () => Promise<Write>>> = {
  'the start of an upload': async () => ({
    request: ['POST', `/v2/${aName()}/blobs/uploads/`],
    done: 202,
    after: async (answer) => [(await send('GET', locationOf(answer))).status, 204],
  }),
  'a blob in one request': () => aBlobInOneRequest(),
  'a blob in one request whose digest is known': () => aBlobInOneRequest({ isKnown: true }),
  'a chunk': () => aChunk(uniqueBytes()),
  'the close of chunks': () => aClose({ received: FIRST }),
  'a close with the last bytes': () => aClose({ received: FIRST, body: uniqueBytes() }),
  'a close with all bytes': () => aClose({ received: null, body: uniqueBytes() }),
  'a cancellation': async () => {
    const session = await startUpload(aName());
    await send('PATCH', session, { body: FIRST });
    return {
      request: ['DELETE', session],
      done: 204,
      landed: '404 BLOB_UPLOAD_UNKNOWN',
      after: async () => [(await send('GET', session)).status, 404],
    };
  },
  'a mount': async () => {
    const [from, name, bytes] = [aName(), aName(), uniqueBytes()];
    const digest = await uploadBlob(from, bytes);
    return {
      request: ['POST', `/v2/${name}/blobs/uploads/?mount=${digest}&from=${from}`],
      done: 201,
      after: async () => [await hasBytes(name, bytes), true],
    };
  },
  'a manifest by tag': () => aManifest({ reference: 'v1' }),
  'a manifest by digest': () => aManifest({}),
  'a tag that moves': () =>
    aManifest({
      reference: 'v1',
      async make(name) {
        await pushImage(name, 'v1');
        return imageIn(name);
      },
    }),
  'the deletion of a tag': () =>
    aDelete(async (name) => {
      await pushImage(name, 'v1');
      return `/v2/${name}/manifests/v1`;
    }, '404 MANIFEST_UNKNOWN'),
  'the deletion of a manifest': () =>
    aDelete(async (name) => {
      const image = await pushImage(name, 'v1');
      await putManifest(name, image, 'v2');
      return `/v2/${name}/manifests/${image.digest}`;
    }, '404 MANIFEST_UNKNOWN'),
  'the deletion of a blob': () =>
    aDelete(async (name) => pathOf(name, await uploadBlob(name)), '404 BLOB_UNKNOWN'),
};

/** A million bytes or five each time; D1 is asked as for small ones. */
const LARGE_WRITES: Readonly<Record<string, () => Promise<Write>>> = {
  'a chunk that fills a part': () => aChunk(PARTS),
  'the close of parts': () => aClose({ received: PARTS }),
  'a large manifest': () =>
    aManifest({
      reference: 'v1',
      make: (name) =>
        imageIn(name, { annotations: { padding: ' '.repeat(MANIFEST_INLINE_BYTES_MAX) } }),
    }),
};

/** What R2 fails to write is not sent again, so once is as good as always. */
const KINDS: readonly Omit<Fault, 'callNumber'>[] = (['before', 'after'] as const).flatMap(
  (when) => [
    { store: 'd1', when },
    { store: 'd1', when, lasting: true },
    { store: 'r2', when },
  ],
);

/** Two minutes later: whoever held an upload when the stores failed does so no more. */
const lapseClaims = () =>
  execute('UPDATE blob_upload SET claim_until_ms = 0 WHERE claim_until_ms IS NOT NULL');

/** Makes all calls that the write makes to the store fail, one after the other; gives their number. */
async function failEverywhere(
  prepare: () => Promise<Write>,
  kind: Omit<Fault, 'callNumber'>,
  { client, expect }: { client: Client; expect: ExpectStatic },
): Promise<number> {
  for (let callNumber = 1; ; callNumber += 1) {
    const write = await prepare();
    const { gate, failedCall } = failing({ ...kind, callNumber });
    const first = await client.behind(gate, () => client.send(...write.request));
    const call = failedCall();
    const what = JSON.stringify({ ...kind, callNumber, ...call });
    let last = first;
    if (first.status !== write.done) {
      expect(refusal(first), what).toBe('503 UNAVAILABLE');
      expect(first.headers.get('Retry-After'), what).toBe('2');
      // One answer that is lost can be found out about; but no write is sent to R2 again.
      const isFoundOut =
        kind.store === 'd1' || call?.operation === 'get' || call?.operation === 'head';
      expect(kind.lasting === true || !isFoundOut, what).toBe(true);
      if (kind.lasting === true) {
        await lapseClaims();
      }
      last = await (write.comeAgain?.(client.send) ?? client.send(...write.request));
      const end = last.status < 400 ? String(last.status) : refusal(last);
      expect([String(write.done), write.landed], what).toContain(end);
    }
    const [actual, wanted] = await write.after(last);
    expect(actual, what).toEqual(wanted);
    await drainGraves();
    expect((await client.witness.look()).violations, what).toEqual([]);
    if (call === null) {
      return callNumber - 1;
    }
  }
}

/** One for all tests; each has a database of its own. */
let isolate: GatedIsolate | undefined;

async function aClient() {
  const alice = await anAccount('alice');
  await addMember(alice, await aNamespace('acme'), 'admin');
  const authorization = basic(alice.name, alice.secret);
  isolate ??= await gatedIsolate();
  const { ask, behind } = isolate;
  return {
    behind,
    witness: new Witness(),
    send: (...[method, path, call]: Request) => ask(method, path, { ...call, authorization }),
  };
}

type Client = Awaited<ReturnType<typeof aClient>>;

describe('a store that fails at any call', () => {
  it.for(Object.entries(WRITES))(
    'leaves nothing wrong of %s, which succeeds in the end',
    async ([, prepare], { expect }) => {
      const client = await aClient();
      for (const kind of KINDS) {
        const count = await failEverywhere(prepare, kind, { client, expect });
        expect(count).toBeGreaterThan(kind.store === 'd1' ? 1 : -1);
      }
    },
  );

  it.for(Object.entries(LARGE_WRITES))(
    'of R2 whose answers are lost leaves nothing wrong of %s, which succeeds in the end',
    async ([, prepare], { expect }) => {
      const client = await aClient();
      const kind = { store: 'r2', when: 'after' } as const;
      expect(await failEverywhere(prepare, kind, { client, expect })).toBeGreaterThan(0);
    },
  );
});
