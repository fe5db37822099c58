import { describe, it } from 'vitest';

import { errorsOf, pushImage, send } from '../support/http.ts';

const NAME = 'acme/app';
const ABSENT = `sha256:${'0'.repeat(64)}`;

/** One request of each kind that is refused: how, where, and with which answer. */
const REFUSED: readonly (readonly [string, string, string])[] = [
  ['GET', `manifests/${ABSENT}`, '404 MANIFEST_UNKNOWN'],
  ['GET', 'manifests/absent', '404 MANIFEST_UNKNOWN'],
  ['DELETE', 'manifests/absent', '404 MANIFEST_UNKNOWN'],
  ['POST', 'manifests/absent', '405 UNSUPPORTED'],
  ['GET', `blobs/${ABSENT}`, '404 BLOB_UNKNOWN'],
  ['GET', 'blobs/sha256:x', '400 DIGEST_INVALID'],
  ['DELETE', `blobs/${ABSENT}`, '404 BLOB_UNKNOWN'],
  ['POST', 'blobs/uploads/?mount=x', '400 DIGEST_INVALID'],
  ['POST', 'blobs/uploads/?digest-algorithm=md5', '400 DIGEST_INVALID'],
  ['GET', 'blobs/uploads/absent', '404 BLOB_UPLOAD_UNKNOWN'],
  ['PATCH', 'blobs/uploads/absent', '404 BLOB_UPLOAD_UNKNOWN'],
  ['PUT', 'blobs/uploads/absent', '400 BLOB_UPLOAD_INVALID'],
  ['PUT', `blobs/uploads/absent?digest=${ABSENT}`, '404 BLOB_UPLOAD_UNKNOWN'],
  ['DELETE', 'blobs/uploads/absent', '404 BLOB_UPLOAD_UNKNOWN'],
  ['GET', 'referrers/sha256:x', '400 DIGEST_INVALID'],
  ['DELETE', `referrers/${ABSENT}`, '405 UNSUPPORTED'],
  ['POST', 'tags/list', '405 UNSUPPORTED'],
];

describe('a refusal', () => {
  it.for(REFUSED)('%s %s is %s in the one form that errors have', async (row, { expect }) => {
    const [method, rest, wanted] = row;
    await pushImage(NAME, 'v1');
    const answer = await send(method, `/v2/${NAME}/${rest}`);
    expect(answer.headers.get('Content-Type')).toBe('application/json');
    expect(answer.headers.get('Docker-Distribution-API-Version')).toBe('registry/2.0');
    const [error, ...others] = errorsOf(answer);
    expect([`${answer.status} ${error?.code}`, others]).toEqual([wanted, []]);
    expect(error?.message).not.toBe('');
  });
});
