import { env } from 'cloudflare:workers';
import { beforeEach, describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { uniqueBytes } from '../support/content.ts';
import { footprint } from '../support/footprint.ts';
import {
  type Call,
  imageIn,
  indexOf,
  manifestOf,
  pushImage,
  putManifest,
  refusal,
  type SentManifest,
  send,
  startUpload,
  unannounced,
  uploadBlob,
} from '../support/http.ts';
import { findViolations } from '../support/invariants.ts';
import { drainGraves } from '../support/uploads.ts';

const NAME = 'acme/app';
const UPLOADS = `/v2/${NAME}/blobs/uploads/`;
const ABSENT = `sha256:${'0'.repeat(64)}`;
const WRONG_512 = `sha512:${'0'.repeat(128)}`;
const OCI = MANIFEST_MEDIA_TYPES.ociManifest;

/** `status code`, method, path, and the rest of the request. */
type BadCall = readonly [string, string, string, Call?];

interface World {
  readonly session: string;
  readonly blob: string;
  readonly locked: SentManifest;
  readonly child: SentManifest;
  readonly image: SentManifest;
}

let world: World;

/** A repository with a bit of everything: a session under way, a locked tag, an index. */
beforeEach(async () => {
  const blob = await uploadBlob(NAME);
  const locked = await pushImage(NAME, 'locked');
  await env.DB.prepare(`UPDATE tag SET immutable = 1 WHERE name = 'locked'`).run();
  const child = await imageIn(NAME);
  await putManifest(NAME, child);
  await putManifest(NAME, await indexOf([child]), 'index');
  await send('DELETE', `/v2/${NAME}/manifests/${child.digest}`);
  const session = await startUpload(NAME);
  await send('PATCH', session, { body: uniqueBytes(40) });
  world = { session, blob, locked, child, image: await imageIn(NAME) };
});

const manifest = (body: BodyInit, type: string = OCI): Call => ({
  headers: { 'Content-Type': type },
  body,
});
const ranged = (range: string, body: BodyInit | null = null): Call => ({
  headers: { 'Content-Range': range },
  body,
});

function readingCalls(): readonly BadCall[] {
  return [
    ['404 NAME_UNKNOWN', 'GET', '/v2/acme/none/manifests/v1'],
    ['404 NAME_UNKNOWN', 'GET', `/v2/acme/none/manifests/${ABSENT}`],
    ['404 NAME_UNKNOWN', 'GET', `/v2/acme/none/blobs/${ABSENT}`],
    ['404 NAME_UNKNOWN', 'GET', '/v2/acme/none/tags/list'],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/none`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/.hidden`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/${'x'.repeat(4000)}`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/%00`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/%zz`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/$temp-x`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/${ABSENT}`],
    ['404 MANIFEST_UNKNOWN', 'GET', `/v2/${NAME}/manifests/${world.blob}`],
    ['400 DIGEST_INVALID', 'GET', `/v2/${NAME}/manifests/sha256:x`],
    ['400 DIGEST_INVALID', 'GET', `/v2/${NAME}/manifests/a:b:c`],
    ['400 DIGEST_INVALID', 'GET', `/v2/${NAME}/blobs/latest`],
    ['400 DIGEST_INVALID', 'GET', `/v2/${NAME}/blobs/${ABSENT}%20`],
    ['400 DIGEST_INVALID', 'GET', `/v2/${NAME}/blobs/..%2f..%2fetc%2fpasswd`],
    ['404 BLOB_UNKNOWN', 'GET', `/v2/${NAME}/blobs/${ABSENT}`],
    ['404 BLOB_UNKNOWN', 'GET', `/v2/${NAME}/blobs/${world.locked.digest}`],
    ['404 BLOB_UPLOAD_UNKNOWN', 'GET', `${UPLOADS}none`],
    ['404 BLOB_UPLOAD_UNKNOWN', 'GET', `${UPLOADS}%00%ff`],
    ['404 BLOB_UPLOAD_UNKNOWN', 'GET', world.session.replace('acme/app', 'acme/none')],
    ['400 NAME_INVALID', 'GET', '/v2/ACME/app/tags/list'],
    ['400 NAME_INVALID', 'GET', '/v2/_catalog/tags/list'],
    ['400 NAME_INVALID', 'GET', `/v2/${'a'.repeat(256)}/tags/list`],
    ['404 NAME_UNKNOWN', 'GET', '/v2/..%2f..%2fhealth'],
    ['405 UNSUPPORTED', 'POST', `/v2/${NAME}/manifests/v1`, manifest('{}')],
    ['405 UNSUPPORTED', 'PUT', `/v2/${NAME}/blobs/${ABSENT}`, { body: 'x' }],
    ['405 UNSUPPORTED', 'PATCH', UPLOADS, { body: 'x' }],
    ['405 UNSUPPORTED', 'DELETE', UPLOADS],
    ['405 UNSUPPORTED', 'POST', world.session, { body: 'x' }],
    ['405 UNSUPPORTED', 'POST', '/v2/auth', { body: 'grant_type=password' }],
    ['400 UNSUPPORTED', 'GET', '/v2/auth?scope=everything'],
    ['400 NAME_INVALID', 'GET', '/v2/auth?scope=repository:A:pull'],
    ['401 UNAUTHORIZED', 'GET', '/v2/auth', { authorization: null }],
    ['401 UNAUTHORIZED', 'GET', `/v2/${NAME}/tags/list`, { authorization: 'Basic \u0001' }],
    ['401 UNAUTHORIZED', 'GET', `/v2/${NAME}/tags/list`, { authorization: 'Bearer ' }],
  ];
}

function uploadCalls(): readonly BadCall[] {
  const { session, blob } = world;
  const body = uniqueBytes(60);
  const put = (digest: string): string => `${session}?digest=${digest}`;
  return [
    ['400 DIGEST_INVALID', 'POST', `${UPLOADS}?digest=x`, { body }],
    ['400 DIGEST_INVALID', 'POST', `${UPLOADS}?digest=${ABSENT}`, { body }],
    ['400 DIGEST_INVALID', 'POST', `${UPLOADS}?digest=${ABSENT}`, { body: unannounced(body) }],
    ['400 DIGEST_INVALID', 'POST', `${UPLOADS}?digest=${WRONG_512}`, { body }],
    ['400 DIGEST_INVALID', 'POST', `${UPLOADS}?digest=${ABSENT}`],
    ['400 DIGEST_INVALID', 'POST', `${UPLOADS}?mount=latest&from=${NAME}`],
    ['400 DIGEST_INVALID', 'POST', `/v2/acme/new/blobs/uploads/?digest=${ABSENT}`, { body }],
    ['400 NAME_INVALID', 'POST', '/v2/_x/blobs/uploads/'],
    ['400 BLOB_UPLOAD_INVALID', 'PUT', session, { body }],
    ['400 DIGEST_INVALID', 'PUT', put(''), { body }],
    ['400 DIGEST_INVALID', 'PUT', put('sha256:abc'), { body }],
    ['400 DIGEST_INVALID', 'PUT', put(blob.toUpperCase()), { body }],
    ['416 BLOB_UPLOAD_INVALID', 'PATCH', session, ranged('41-100', body)],
    ['416 BLOB_UPLOAD_INVALID', 'PATCH', session, ranged('0-59', body)],
    ['416 BLOB_UPLOAD_INVALID', 'PUT', put(blob), ranged('41-100', body)],
    ['400 BLOB_UPLOAD_INVALID', 'PATCH', session, ranged('bytes 40-99/*', body)],
    ['400 BLOB_UPLOAD_INVALID', 'PATCH', session, ranged('99-40', body)],
    ['400 BLOB_UPLOAD_INVALID', 'PUT', put(blob), ranged('x', body)],
    ['400 SIZE_INVALID', 'PATCH', session, ranged('40-98', body)],
    ['400 SIZE_INVALID', 'PATCH', session, ranged('40-100', unannounced(body))],
    ['400 SIZE_INVALID', 'PUT', put(blob), ranged('40-100', unannounced(body))],
    ['400 SIZE_INVALID', 'PUT', put(blob), ranged('40-99')],
    ['404 BLOB_UPLOAD_UNKNOWN', 'PATCH', `${UPLOADS}none`, { body }],
    ['404 BLOB_UPLOAD_UNKNOWN', 'PUT', `${UPLOADS}none?digest=${blob}`, { body }],
    ['404 BLOB_UPLOAD_UNKNOWN', 'PUT', `${UPLOADS}none?digest=${blob}`],
    ['404 BLOB_UPLOAD_UNKNOWN', 'DELETE', `${UPLOADS}none`],
    ['404 BLOB_UPLOAD_UNKNOWN', 'PATCH', session.replace(NAME, 'acme/none'), { body }],
  ];
}

async function manifestCalls(): Promise<readonly BadCall[]> {
  const { locked, child, blob, image } = world;
  const at = (reference: string): string => `/v2/${NAME}/manifests/${reference}`;
  const { bytes } = image;
  const text = new TextDecoder().decode(bytes);
  const orphan = await manifestOf(OCI, {
    ...(JSON.parse(text) as object),
    layers: [{ mediaType: 'a/b', size: 1, digest: ABSENT }],
  });
  const childless = await indexOf([orphan]);
  const large = (byteCount: number): string => text.padEnd(byteCount);
  return [
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest('')],
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest(text.slice(0, -5))],
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest(`\uFEFF${text}`)],
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest('{"schemaVersion":2}')],
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest('['.repeat(1_000_000))],
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest(`{"layers":[${'0,'.repeat(1_000_000)}0]}`)],
    ['400 MANIFEST_INVALID', 'PUT', at('v1'), manifest(bytes, MANIFEST_MEDIA_TYPES.ociIndex)],
    ['400 MANIFEST_INVALID', 'PUT', at('.x'), manifest(bytes)],
    ['400 MANIFEST_INVALID', 'PUT', at('x'.repeat(129)), manifest(bytes)],
    ['400 MANIFEST_INVALID', 'PUT', at('.x'), manifest(large(1_500_000))],
    ['413 MANIFEST_INVALID', 'PUT', at('v1'), manifest(large(4_194_305))],
    ['415 MANIFEST_INVALID', 'PUT', at('v1'), manifest(bytes, 'text/plain')],
    ['415 MANIFEST_INVALID', 'PUT', at('v1'), { body: '{}' }],
    ['400 DIGEST_INVALID', 'PUT', at(ABSENT), manifest(bytes)],
    ['400 DIGEST_INVALID', 'PUT', at('sha256:x'), manifest(bytes)],
    ['400 DIGEST_INVALID', 'PUT', at(WRONG_512), manifest(bytes)],
    ['400 MANIFEST_BLOB_UNKNOWN', 'PUT', at('v1'), manifest(orphan.bytes)],
    ['400 MANIFEST_BLOB_UNKNOWN', 'PUT', at(orphan.digest), manifest(orphan.bytes)],
    ['400 MANIFEST_BLOB_UNKNOWN', 'PUT', at('v1'), manifest(childless.bytes, childless.mediaType)],
    ['409 DENIED', 'PUT', at('locked'), manifest(bytes)],
    ['409 DENIED', 'DELETE', at('locked')],
    ['409 DENIED', 'DELETE', at(locked.digest)],
    ['405 DENIED', 'DELETE', at(child.digest)],
    ['404 MANIFEST_UNKNOWN', 'DELETE', at('none')],
    ['404 MANIFEST_UNKNOWN', 'DELETE', at(ABSENT)],
    ['404 MANIFEST_UNKNOWN', 'DELETE', at('.x')],
    ['400 DIGEST_INVALID', 'DELETE', at('sha256:x')],
    ['404 NAME_UNKNOWN', 'DELETE', '/v2/acme/none/manifests/v1'],
    ['404 NAME_UNKNOWN', 'DELETE', `/v2/acme/none/manifests/${ABSENT}`],
    ['404 NAME_UNKNOWN', 'DELETE', `/v2/acme/none/blobs/${ABSENT}`],
    ['404 BLOB_UNKNOWN', 'DELETE', `/v2/${NAME}/blobs/${ABSENT}`],
    ['400 DIGEST_INVALID', 'DELETE', `/v2/${NAME}/blobs/latest`],
    ['401 UNAUTHORIZED', 'PUT', at('v1'), { ...manifest(bytes), authorization: null }],
    ['401 UNAUTHORIZED', 'DELETE', `/v2/${NAME}/blobs/${blob}`, { authorization: 'Basic eDp5' }],
  ];
}

describe('a bad request', () => {
  const groups = {
    'that reads': readingCalls,
    'to an upload': uploadCalls,
    'that writes or deletes a manifest': manifestCalls,
  };
  for (const [which, callsOf] of Object.entries(groups)) {
    it(`${which} gets its code, and leaves not one row or object`, async ({ expect }) => {
      const calls = await callsOf();
      await drainGraves();
      const before = await footprint();
      for (const [expected, method, path, call] of calls) {
        const shown = `${method} ${path.slice(0, 120)}`;
        expect(`${shown}: ${refusal(await send(method, path, call))}`).toBe(
          `${shown}: ${expected}`,
        );
        await drainGraves();
        expect([shown, await footprint()]).toEqual([shown, before]);
      }
      expect(await findViolations()).toEqual([]);
    });
  }
});
