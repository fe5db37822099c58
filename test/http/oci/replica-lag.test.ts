import { decodeJwt } from 'jose';
import { describe, it } from 'vitest';

import { anAccount, giveRight, type TestAccount } from '../../support/accounts.ts';
import {
  aName,
  type Answer,
  basic,
  descriptorOf,
  imageIn,
  indexOf,
  pushImage,
  putManifest,
  refusal,
  send,
  uploadBlob,
} from '../../support/http.ts';
import { findViolations } from '../../support/invariants.ts';
import { isolateBeside } from '../../support/isolate.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute, select } from '../../support/stage.ts';

/** A client near a replica that knows the registry as it is now, and nothing that comes later. */
async function aLaggingReader() {
  const replica = await openLaggingReplica();
  return {
    replica,
    ask: await isolateBeside({ ...replica.bindings, READ_CONSISTENCY: 'replica' }),
  };
}

type Ask = Awaited<ReturnType<typeof aLaggingReader>>['ask'];

const bookmarkOf = ({ headers }: Answer): Record<string, string> => ({
  'Berth-Bookmark': headers.get('Berth-Bookmark') ?? '',
});

/** All that was just pushed: the path of each, and the methods that it is asked by. */
async function justPushed(name: string) {
  const child = await imageIn(name);
  await putManifest(name, child);
  const index = await indexOf([child]);
  await putManifest(name, index, 'new');
  const referrer = await imageIn(name, { subject: descriptorOf(index) });
  const last = await putManifest(name, referrer);
  const blob = await uploadBlob(name);
  const base = `/v2/${name}`;
  return {
    bookmark: bookmarkOf(last),
    found: [
      ['GET', `${base}/manifests/new`],
      ['HEAD', `${base}/manifests/new`],
      ['GET', `${base}/manifests/${index.digest}`],
      ['GET', `${base}/manifests/${child.digest}`],
      ['GET', `${base}/manifests/${referrer.digest}`],
      ['GET', `${base}/blobs/${blob}`],
      ['HEAD', `${base}/blobs/${blob}`],
      ['GET', `${base}/tags/list`],
      ['GET', `${base}/referrers/${index.digest}`],
      ['GET', '/v2/_catalog'],
    ] as const,
  };
}

async function idOf(name: string): Promise<number> {
  const [row] = await select('SELECT id FROM repository WHERE name = ?', name.split('/')[1]);
  return Number(row?.['id']);
}

/** What someone is told they may do in a repository, and what a pull of it by Basic comes to. */
async function rightsOf(
  ask: Ask,
  { account, name, headers = {} }: { account: TestAccount; name: string; headers?: object },
) {
  const authorization = basic(account.name, account.secret);
  const call = { authorization, headers: { ...headers } };
  const token = await ask(
    'GET',
    `/v2/auth?service=registry.test&scope=repository:${name}:pull,push`,
    call,
  );
  const { access } = decodeJwt<{ access: readonly { actions: readonly string[] }[] }>(
    (JSON.parse(token.text) as { token: string }).token,
  );
  const pull = await ask('GET', `/v2/${name}/manifests/v1`, call);
  return [access.flatMap(({ actions }) => actions).join(), pull.status];
}

describe('a nearest replica that lags', () => {
  it('hides nothing that was just pushed, with a bookmark and without', async ({ expect }) => {
    for (const isNewRepository of [true, false]) {
      const name = aName();
      if (!isNewRepository) {
        await pushImage(name, 'old');
      }
      const { replica, ask } = await aLaggingReader();
      const { found, bookmark } = await justPushed(name);
      for (const headers of [{}, bookmark]) {
        for (const [method, path] of found) {
          const right = await send(method, path);
          expect([path, right.status]).toEqual([path, 200]);
          const answer = await ask(method, path, { headers });
          expect([method, path, answer.status, answer.text]).toEqual([
            method,
            path,
            200,
            right.text,
          ]);
        }
      }
      expect(replica.reads()).toBeGreaterThan(5);
    }
    expect(await findViolations()).toEqual([]);
  });

  it('may give what a tag pointed to before, and never to whom brings a bookmark', async ({
    expect,
  }) => {
    const name = aName();
    const before = await pushImage(name, 'v1');
    const { replica, ask } = await aLaggingReader();
    const after = await imageIn(name);
    const moved = await putManifest(name, after, 'v1');
    const path = `/v2/${name}/manifests/v1`;
    const pull = async (headers: Record<string, string> = {}) => {
      const { status, headers: told } = await ask('GET', path, { headers });
      return status === 200 ? told.get('Docker-Content-Digest') : status;
    };
    expect(await pull()).toBe(before.digest);
    expect(await pull(bookmarkOf(moved))).toBe(after.digest);
    const ended = await send('DELETE', path);
    expect(await pull()).toBe(before.digest);
    expect(await pull(bookmarkOf(ended))).toBe(404);
    await replica.catchUp();
    expect(await pull()).toBe(404);
    // Where the replica has come so far, it answers who brings one as well.
    const reads = replica.reads();
    expect(await pull(bookmarkOf(moved))).toBe(404);
    expect(replica.reads()).toBeGreaterThan(reads);
  });

  it('lists no tag that was deleted, nor misses one', async ({ expect }) => {
    const name = aName();
    const image = await pushImage(name, 'a');
    const { ask } = await aLaggingReader();
    const listed = async () => (await ask('GET', `/v2/${name}/tags/list`)).text;
    expect(await listed()).toBe(JSON.stringify({ name, tags: ['a'] }));
    await putManifest(name, image, 'b');
    expect(await listed()).toBe(JSON.stringify({ name, tags: ['a', 'b'] }));
    await send('DELETE', `/v2/${name}/manifests/a`);
    expect(await listed()).toBe(JSON.stringify({ name, tags: ['b'] }));
  });

  it('refuses nobody a right that was just given, nor an account that was just made', async ({
    expect,
  }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const { ask } = await aLaggingReader();
    const account = await anAccount('bob');
    expect(await rightsOf(ask, { account, name })).toEqual(['', 401]);
    await giveRight(account, await idOf(name), 'read');
    expect(await rightsOf(ask, { account, name })).toEqual(['pull', 200]);
    await execute("UPDATE repository_right SET role = 'write'");
    expect(await rightsOf(ask, { account, name })).toEqual(['pull,push', 200]);
  });

  it('may know a right that was taken, and not for whom brings a bookmark', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const account = await anAccount('bob');
    await giveRight(account, await idOf(name), 'read');
    const { ask } = await aLaggingReader();
    await execute('DELETE FROM repository_right');
    const headers = bookmarkOf(await send('GET', `/v2/${name}/tags/list`));
    expect(await rightsOf(ask, { account, name, headers })).toEqual(['', 401]);
  });

  it('is not asked whether a pusher may skip a blob', async ({ expect }) => {
    const name = aName();
    const blob = await uploadBlob(name);
    const { ask } = await aLaggingReader();
    const path = `/v2/${name}/blobs/${blob}`;
    expect((await ask('HEAD', path)).status).toBe(200);
    await send('DELETE', path);
    expect((await ask('HEAD', path)).status).toBe(404);
    expect(refusal(await ask('DELETE', path))).toBe('404 BLOB_UNKNOWN');
  });
});
