import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import { footprint } from '../../support/footprint.ts';
import {
  type Call,
  errorsOf,
  imageIn,
  pushImage,
  refusal,
  send,
  startUpload,
  uploadBlob,
  withQuery,
} from '../../support/http.ts';
import { execute, select } from '../../support/stage.ts';

const DISABLED = {
  code: 'DENIED',
  message: `namespace 'acme' is disabled`,
  detail: { reason: 'NAMESPACE_DISABLED' },
};

const setEnabled = (enabled: 0 | 1) =>
  execute(`UPDATE namespace SET enabled = ? WHERE name = 'acme'`, enabled);

async function tokenFor(name: string): Promise<string> {
  const issued = await send('GET', `/v2/auth?scope=repository:${name}:pull,push`);
  return `Bearer ${(JSON.parse(issued.text) as { token: string }).token}`;
}

/** Every way to pull from the repository and to push to it, with how it is answered if it may be. */
async function everyCall(name: string) {
  const image = await pushImage(name, 'latest');
  const blob = await uploadBlob(name);
  const doomed = await pushImage(name, 'doomed');
  const next = await imageIn(name);
  const loose = await uploadBlob(name);
  const one = uniqueBytes();
  const path = `/v2/${name}`;
  const put: Call = { headers: { 'Content-Type': next.mediaType }, body: next.bytes };
  const whole = `${path}/blobs/uploads/?digest=${await computeDigest('sha256', one)}`;
  const calls: readonly (readonly [number, string, string, Call?])[] = [
    [200, 'GET', `${path}/manifests/latest`],
    [200, 'HEAD', `${path}/manifests/latest`],
    [200, 'GET', `${path}/manifests/${image.digest}`],
    [200, 'GET', `${path}/blobs/${blob}`],
    [200, 'HEAD', `${path}/blobs/${blob}`],
    [200, 'GET', `${path}/tags/list`],
    [200, 'GET', `${path}/tags/list?n=0`],
    [200, 'GET', `${path}/referrers/${image.digest}`],
    [200, 'GET', `${path}/_oci/ext/discover`],
    [202, 'POST', `${path}/blobs/uploads/`],
    [201, 'POST', whole, { headers: { 'Content-Length': '64' }, body: one }],
    [201, 'POST', `${path}/blobs/uploads/?mount=${blob}&from=${name}`],
    [201, 'PUT', `${path}/manifests/next`, put],
    [201, 'PUT', `${path}/manifests/${next.digest}`, put],
    [202, 'DELETE', `${path}/blobs/${loose}`],
    [202, 'DELETE', `${path}/manifests/doomed`],
    [202, 'DELETE', `${path}/manifests/${doomed.digest}`],
  ];
  return { calls };
}

describe('a disabled namespace', () => {
  it('gives no token, whether the repository exists or not', async ({ expect }) => {
    await pushImage('acme/app', 'latest');
    await setEnabled(0);
    for (const name of ['acme/app', 'acme/none']) {
      for (const actions of ['pull', 'pull,push']) {
        for (const call of [{}, { authorization: null }]) {
          const answer = await send('GET', `/v2/auth?scope=repository:${name}:${actions}`, call);
          expect([answer.status, errorsOf(answer)]).toEqual([405, [DISABLED]]);
        }
      }
    }
    expect((await send('GET', '/v2/auth?scope=repository:other/app:pull')).status).toBe(200);
    await setEnabled(1);
    expect((await send('GET', '/v2/auth?scope=repository:acme/app:pull')).status).toBe(200);
  });

  it('is closed to who comes without a token, and nothing is left of the attempt', async ({
    expect,
  }) => {
    const { calls } = await everyCall('acme/app');
    await setEnabled(0);
    const before = await footprint();
    for (const [, method, path, call] of calls) {
      // A mount from where the caller may not read is an upload, which may not begin here either.
      const answer = await send(method, path, call);
      expect([method, path, answer.status]).toEqual([method, path, 405]);
      if (method !== 'HEAD') {
        expect(errorsOf(answer)).toEqual([DISABLED]);
      }
    }
    expect(await footprint()).toEqual(before);
    const repositories = await select('SELECT count(*) AS n FROM repository');
    const made = await send('POST', '/v2/acme/new/blobs/uploads/');
    expect(refusal(made)).toBe('405 DENIED');
    expect(await select('SELECT count(*) AS n FROM repository')).toEqual(repositories);
  });

  it('is open to a token that was issued before', async ({ expect }) => {
    const { calls } = await everyCall('acme/app');
    const authorization = await tokenFor('acme/app');
    await setEnabled(0);
    const answers: (readonly [string, string, number])[] = [];
    for (const [, method, path, call] of calls) {
      answers.push([method, path, (await send(method, path, { ...call, authorization })).status]);
    }
    // The last tag of what is deleted by digest went with the call before.
    expect(answers.slice(0, -1)).toEqual(
      calls.slice(0, -1).map(([status, method, path]) => [method, path, status]),
    );
  });

  it('lets an upload end that was begun before', async ({ expect }) => {
    const session = await startUpload('acme/app');
    await setEnabled(0);
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    const closed = await send('PUT', withQuery(session, { digest }), { body: bytes });
    expect(closed.status).toBe(201);
    expect(refusal(await send('GET', `/v2/acme/app/blobs/${digest}`))).toBe('405 DENIED');
  });

  it('has no blobs to mount for who comes without a token', async ({ expect }) => {
    const digest = await uploadBlob('acme/app');
    await setEnabled(0);
    const mount = await send('POST', `/v2/other/app/blobs/uploads/?mount=${digest}&from=acme/app`);
    expect(mount.status).toBe(202);
  });

  it('closes no other', async ({ expect }) => {
    const { calls } = await everyCall('other/app');
    await pushImage('acme/app', 'latest');
    await setEnabled(0);
    for (const [status, method, path, call] of calls.slice(0, -1)) {
      expect([method, path, (await send(method, path, call)).status]).toEqual([
        method,
        path,
        status,
      ]);
    }
  });
});
