import { decodeJwt } from 'jose';
import { describe, it } from 'vitest';

import { BLOB_KEPT_BYTES_MAX, MANIFEST_INLINE_BYTES_MAX } from '../../../src/model/limits.ts';
import { addMember, aNamespace, anAccount } from '../../support/accounts.ts';
import { uniqueBytes } from '../../support/content.ts';
import { failing, type GatedIsolate, gatedIsolate } from '../../support/faults.ts';
import {
  aName,
  type Answer,
  basic,
  descriptorOf,
  imageIn,
  indexOf,
  pick,
  pushImage,
  putManifest,
  startUpload,
  uploadBlob,
} from '../../support/http.ts';
import { findViolations } from '../../support/invariants.ts';
import { forgetCache } from '../../support/kv.ts';

/** A repository with some of everything, and someone who may do all with it. */
async function aWorld() {
  const name = aName();
  const alice = await anAccount('alice');
  await addMember(alice, await aNamespace('acme'), 'admin');
  const image = await pushImage(name, 'v1');
  await putManifest(name, await indexOf([image]), 'v2');
  await putManifest(
    name,
    await imageIn(name, { annotations: { padding: ' '.repeat(MANIFEST_INLINE_BYTES_MAX) } }),
    'large',
  );
  const referrer = await imageIn(name, { subject: descriptorOf(image) });
  await putManifest(name, referrer);
  return {
    name,
    authorization: basic(alice.name, alice.secret),
    digest: image.digest,
    small: await uploadBlob(name),
    large: await uploadBlob(name, uniqueBytes(BLOB_KEPT_BYTES_MAX + 1)),
    session: await startUpload(name),
    pushedAt: new Date().toISOString(),
  };
}

type World = Awaited<ReturnType<typeof aWorld>>;

interface Read {
  readonly method?: 'HEAD';
  readonly path: (world: World) => string;
  readonly headers?: (world: World) => Readonly<Record<string, string>>;
  /** What of the answer must be right; by default all that is not about this one request. */
  readonly seen?: (answer: Answer) => unknown;
}

const ofManifest = (reference: string) => ({
  path: ({ name }: World) => `/v2/${name}/manifests/${reference}`,
});

/** What each may read, and reads of D1, R2 and KV for it. */
const READS: Readonly<Record<string, Read>> = {
  'a login': { path: () => '/v2/' },
  'a token': {
    path: ({ name }) => `/v2/auth?service=registry.test&scope=repository:${name}:pull,push`,
    seen: ({ status, text }) => {
      const { token = '' } = JSON.parse(text) as { token?: string };
      const { sub, access } = token === '' ? {} : decodeJwt(token);
      return { status, sub, access };
    },
  },
  'a manifest by tag': ofManifest('v1'),
  'a HEAD of a manifest by tag': { method: 'HEAD', ...ofManifest('v1') },
  'an index by tag': ofManifest('v2'),
  'a large manifest by tag': ofManifest('large'),
  'a tag that is not there': ofManifest('none'),
  'what a tag was': {
    ...ofManifest('v1'),
    headers: ({ pushedAt }) => ({ 'Berth-At': pushedAt }),
  },
  'a manifest by digest': { path: ({ name, digest }) => `/v2/${name}/manifests/${digest}` },
  'a small blob': { path: ({ name, small }) => `/v2/${name}/blobs/${small}` },
  'a large blob': { path: ({ name, large }) => `/v2/${name}/blobs/${large}` },
  'a part of a large blob': {
    path: ({ name, large }) => `/v2/${name}/blobs/${large}`,
    headers: () => ({ Range: 'bytes=1000-1099' }),
  },
  'a HEAD of a blob': {
    method: 'HEAD',
    path: ({ name, small }) => `/v2/${name}/blobs/${small}`,
  },
  'a blob that is not there': {
    path: ({ name }) => `/v2/${name}/blobs/sha256:${'0'.repeat(64)}`,
  },
  'a page of tags': { path: ({ name }) => `/v2/${name}/tags/list?n=2` },
  'an empty page of tags': { path: ({ name }) => `/v2/${name}/tags/list?n=0` },
  referrers: { path: ({ name, digest }) => `/v2/${name}/referrers/${digest}` },
  'the catalog': { path: () => '/v2/_catalog' },
  'how far an upload is': { path: ({ session }) => session },
};

function seenOf(answer: Answer): unknown {
  const { status, text } = answer;
  const told = pick(answer, 'content-type', 'docker-content-digest', 'etag', 'link', 'range');
  return { status, text, told };
}

/** One for all tests; each has a database of its own. */
let isolate: GatedIsolate | undefined;

describe('a store that fails', () => {
  it.for(Object.entries(READS))('at any call does not change %s', async ([, read], { expect }) => {
    const world = await aWorld();
    isolate ??= await gatedIsolate();
    const { ask, behind } = isolate;
    const { method = 'GET', seen = seenOf } = read;
    const { authorization } = world;
    const headers = read.headers?.(world) ?? {};
    const send = () => ask(method, read.path(world), { headers, authorization });
    const right = seen(await send());
    for (const store of ['d1', 'r2'] as const) {
      for (const lasting of [false, true]) {
        let unavailable = 0;
        for (let callNumber = 1; ; callNumber += 1) {
          await forgetCache();
          const { gate, failedCall } = failing({ store, callNumber, lasting, when: 'before' });
          const answer = await behind(gate, send);
          const call = failedCall();
          if (call === null) {
            expect(seen(answer)).toEqual(right);
            // Whoever asks is looked up, so there is a call of the database.
            expect(lasting && store === 'd1' ? unavailable : 1).toBeGreaterThan(0);
            break;
          }
          const what = `${store} ${call.operation}, call ${callNumber}, lasting: ${lasting}`;
          if (lasting && answer.status === 503) {
            unavailable += 1;
            expect(answer.headers.get('Retry-After'), what).toBe('2');
            expect(answer.text, what).toMatch(
              method === 'HEAD' ? /^$/ : /^\{"errors":\[\{"code":"UNAVAILABLE",/,
            );
          } else {
            expect(seen(answer), what).toEqual(right);
          }
        }
      }
    }
    expect(await findViolations()).toEqual([]);
  });
});
