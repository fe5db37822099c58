import { describe, it } from 'vitest';

import { anAccount, giveRight, type TestAccount } from '../../support/accounts.ts';
import { aName, imageIn, indexOf, pushImage, putManifest, send } from '../../support/http.ts';
import { isolateWith } from '../../support/isolate.ts';
import { as, errorOf, firstRepositoryId, messageOf, tagsOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

const HOUR_SEC = 3600;
const nowSec = (): number => Math.floor(Date.now() / 1000);

describe('the history of tags by HTTP', () => {
  it('shows each generation, pages it, and filters it', async ({ expect }) => {
    const name = aName();
    const first = await pushImage(name, 'v1');
    const second = await pushImage(name, 'v1');
    const other = await pushImage(name, 'latest');
    await send('DELETE', `/v2/${name}/manifests/latest`);
    const { tags, page, has_additional: more } = await tagsOf(name);
    expect([page, more, tags.map((tag) => [tag['name'], tag['manifest_digest']])]).toEqual([
      1,
      false,
      [
        ['latest', other.digest],
        ['v1', second.digest],
        ['v1', first.digest],
      ],
    ]);
    const [row] = await select(
      `SELECT lifetime_start_ms FROM tag WHERE name = 'v1' AND is_current = 1`,
    );
    const startMs = Number(row?.['lifetime_start_ms']);
    expect(tags[1]).toEqual({
      name: 'v1',
      reversion: false,
      start_ts: Math.floor(startMs / 1000),
      manifest_digest: second.digest,
      is_manifest_list: false,
      size: 100,
      last_modified: new Date(startMs).toUTCString().replace('GMT', '-0000'),
      immutable: false,
    });
    expect(tags[0]).toMatchObject({ end_ts: expect.any(Number), expiration: expect.any(String) });

    const digests = async (query: string) => {
      const found = await tagsOf(name, query);
      return [found.has_additional, ...found.tags.map((tag) => tag['manifest_digest'])];
    };
    expect(await digests('?limit=1&page=2')).toEqual([true, second.digest]);
    expect(await digests('?limit=1&page=3')).toEqual([false, first.digest]);
    expect(await digests('?page=10000')).toEqual([false]);
    expect(await digests('?onlyActiveTags=true')).toEqual([false, second.digest]);
    expect(await digests('?specificTag=latest')).toEqual([false, other.digest]);
    expect(await digests('?filter_tag_name=like:ATE')).toEqual([false, other.digest]);
    expect(await digests('?filter_tag_name=eq:ATE')).toEqual([false]);
  });

  it('says of an index which images are here', async ({ expect }) => {
    const name = aName();
    const [here, gone] = [await imageIn(name), await imageIn(name)];
    await putManifest(name, here);
    await putManifest(name, gone);
    await putManifest(name, await indexOf([here, gone]), 'multi');
    await putManifest(name, await indexOf([]), 'none');
    await execute(
      `UPDATE manifest_child SET child_manifest_id = NULL WHERE child_digest = '${gone.digest}'`,
    );
    const { tags } = await tagsOf(name);
    expect(tags.map((tag) => [tag['name'], tag['size'], tag['is_sparse']])).toEqual([
      ['none', null, false],
      ['multi', null, true],
    ]);
    expect(tags[1]).toMatchObject({
      is_manifest_list: true,
      child_manifest_count: 2,
      present_child_count: 1,
      child_manifests_presence: { [here.digest]: true, [gone.digest]: false },
    });
    expect(tags[0]).toMatchObject({ child_manifest_count: 0, child_manifests_presence: {} });
  });

  it('names what is wrong with a question', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    for (const [query, field] of [
      ['limit=0', /^limit/],
      ['limit=101', /^limit/],
      ['limit=x', /^limit/],
      ['page=0', /^page/],
      ['page=10001', /^page/],
      ['page=99999999999999999999', /^page/],
      ['page=1.5', /^page/],
      ['onlyActiveTags=maybe', /^onlyActiveTags/],
      ['specificTag=', /^specificTag/],
      ['specificTag=-x', /^specificTag/],
      ['filter_tag_name=', /^filter_tag_name/],
      ['filter_tag_name=v1', /filter/],
      ['filter_tag_name=re:v1', /filter/],
      ['colour=red', /colour/],
    ] as const) {
      const answer = await sendManaged('GET', `/repository/${name}/tag/?${query}`);
      expect([query, ...errorOf(answer)]).toEqual([query, 400, 'invalid_request']);
      expect(messageOf(answer)).toMatch(field);
    }
  });
});

describe('a tag by HTTP', () => {
  it('is given an end, within bounds, and loses it', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const path = `/repository/${name}/tag/v1`;
    const put = async (json: object) => sendManaged('PUT', path, { json });
    const endsIn = async () => {
      const [tag] = (await tagsOf(name)).tags;
      return tag?.['end_ts'] === undefined ? null : Number(tag['end_ts']) - Number(tag['start_ts']);
    };
    const updated = await put({ expiration: nowSec() + 5 * HOUR_SEC });
    expect([updated.status, updated.json]).toEqual([201, 'Updated']);
    expect(await endsIn()).toBeGreaterThan(5 * HOUR_SEC - 1);
    await put({ expiration: nowSec() + 60 });
    expect(await endsIn()).toBe(HOUR_SEC);
    await put({ expiration: 253_402_300_799 });
    expect(await endsIn()).toBe(104 * 7 * 24 * HOUR_SEC);
    const past = await put({ expiration: nowSec() - 60 });
    expect([...errorOf(past), messageOf(past)]).toEqual([
      400,
      'invalid_request',
      expect.stringMatching(/^expiration/),
    ]);
    await put({ expiration: null });
    expect(await endsIn()).toBeNull();
    const none = await sendManaged('PUT', `/repository/${name}/tag/v2`, {
      json: { expiration: null },
    });
    expect(errorOf(none)).toEqual([404, 'not_found']);
  });

  it('is locked by who may write, unlocked by an admin alone, and not changed between', async ({
    expect,
  }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const other = await pushImage(name, 'v2');
    const [writer, admin] = [await anAccount('acme+ci'), await anAccount('acme+ops')];
    await giveRight(writer, await firstRepositoryId(), 'write');
    await giveRight(admin, await firstRepositoryId(), 'admin');
    const path = `/repository/${name}/tag/v1`;
    const put = async (json: object, by: TestAccount = writer) =>
      sendManaged('PUT', path, { ...as(by), json });
    // Nothing is to unlock, so nobody need be an admin.
    expect((await put({ immutable: false })).status).toBe(201);
    const both = await put({ immutable: true, expiration: nowSec() + 2 * HOUR_SEC });
    expect([...errorOf(both), messageOf(both)]).toEqual([
      400,
      'invalid_request',
      expect.stringMatching(/^expiration/),
    ]);
    expect((await put({ immutable: true })).status).toBe(201);
    const locked = [409, 'tag_immutable'];
    expect(errorOf(await put({ expiration: nowSec() + 2 * HOUR_SEC }))).toEqual(locked);
    expect(errorOf(await put({ manifest_digest: other.digest }))).toEqual(locked);
    expect(errorOf(await sendManaged('DELETE', path, as(writer)))).toEqual(locked);
    const restore = { json: { manifest_digest: other.digest } };
    expect(errorOf(await sendManaged('POST', `${path}/restore`, restore))).toEqual(locked);
    expect(errorOf(await put({ immutable: false }))).toEqual([403, 'insufficient_scope']);
    const { tags } = await tagsOf(name, '?specificTag=v1');
    expect(tags).toMatchObject([{ immutable: true, manifest_digest: digest }]);
    expect(tags[0]).not.toHaveProperty('end_ts');

    const changed = await put({ immutable: false, manifest_digest: other.digest }, admin);
    expect([changed.status, changed.json]).toEqual([201, 'Updated']);
    expect((await tagsOf(name, '?specificTag=v1&onlyActiveTags=true')).tags).toMatchObject([
      { immutable: false, manifest_digest: other.digest },
    ]);
    await put({ expiration: nowSec() + 2 * HOUR_SEC });
    const ends = await put({ immutable: true });
    expect([...errorOf(ends), messageOf(ends)]).toEqual([
      400,
      'invalid_request',
      expect.stringContaining('expiration'),
    ]);
  });

  it('is made, moved, ended and restored', async ({ expect }) => {
    const name = aName();
    const first = await pushImage(name, 'v1');
    const second = await pushImage(name, 'v2');
    const path = `/repository/${name}/tag`;
    const made = await sendManaged('PUT', `${path}/stable`, {
      json: { manifest_digest: first.digest },
    });
    expect([made.status, made.json]).toEqual([201, 'Updated']);
    await sendManaged('PUT', `${path}/stable`, { json: { manifest_digest: second.digest } });
    const pulled = await send('GET', `/v2/${name}/manifests/stable`);
    expect(pulled.headers.get('Docker-Content-Digest')).toBe(second.digest);

    expect((await sendManaged('DELETE', `${path}/v1`)).status).toBe(204);
    expect(errorOf(await sendManaged('DELETE', `${path}/v1`))).toEqual([404, 'not_found']);
    // Only a dead tag has it: it can be restored, not moved to.
    const move = { json: { manifest_digest: first.digest } };
    expect(errorOf(await sendManaged('PUT', `${path}/stable`, move))).toEqual([404, 'not_found']);
    const restored = await sendManaged('POST', `${path}/stable/restore`, move);
    expect([restored.status, restored.json]).toEqual([200, {}]);
    expect((await tagsOf(name, '?specificTag=stable&limit=1')).tags).toMatchObject([
      { manifest_digest: first.digest, reversion: true },
    ]);
    const unknown = { json: { manifest_digest: `sha256:${'0'.repeat(64)}` } };
    expect(errorOf(await sendManaged('POST', `${path}/stable/restore`, unknown))).toEqual([
      404,
      'not_found',
    ]);
  });

  it('is not expired for good while that is off', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = `/repository/${name}/tag/v1/expire`;
    const json = { manifest_digest: digest, is_alive: true };
    expect(errorOf(await sendManaged('POST', path, { json }))).toEqual([404, 'not_found']);
    expect((await tagsOf(name)).tags).toHaveLength(1);
  });

  it('is expired for good where that is on, alive or not, unless it is locked', async ({
    expect,
  }) => {
    const name = aName();
    const first = await pushImage(name, 'v1');
    const second = await pushImage(name, 'v1');
    const via = await isolateWith({ PERMANENT_TAG_DELETION: 'true' });
    const path = `/repository/${name}/tag/v1`;
    const expire = async (digest: string, isAlive: boolean) =>
      sendManaged('POST', `${path}/expire`, {
        json: { manifest_digest: digest, include_submanifests: true, is_alive: isAlive },
        via,
      });
    // It is alive, so nothing of it has ended yet.
    expect(errorOf(await expire(second.digest, false))).toEqual([404, 'not_found']);
    expect(errorOf(await expire(first.digest, true))).toEqual([404, 'not_found']);
    const [dead, again] = [await expire(first.digest, false), await expire(first.digest, false)];
    expect([dead.status, dead.json, again.status]).toEqual([200, '', 404]);
    await sendManaged('PUT', path, { json: { immutable: true } });
    expect(errorOf(await expire(second.digest, true))).toEqual([404, 'not_found']);
    await sendManaged('PUT', path, { json: { immutable: false } });
    expect((await expire(second.digest, true)).status).toBe(200);
    expect((await tagsOf(name, '?onlyActiveTags=true')).tags).toEqual([]);
    // Both ended before the window, so the next collection takes them.
    const plan = await sendManaged('GET', `/repository/${name}/garbage/plan`);
    expect(plan.json).toMatchObject({ tags: 2, manifests: 2 });
  });

  it('has its pulls counted', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    await execute(
      `INSERT INTO tag_pull_statistics (repository_id, tag_name, pull_count, last_pull_ms)
        SELECT id, 'v1', 3, 1000 FROM repository`,
    );
    const path = `/repository/${name}/tag`;
    expect((await sendManaged('GET', `${path}/v1/pull_statistics`)).json).toEqual({
      tag_name: 'v1',
      tag_pull_count: 3,
      last_tag_pull_date: '1970-01-01T00:00:01.000Z',
      current_manifest_digest: digest,
      manifest_pull_count: 0,
      last_manifest_pull_date: null,
    });
    expect(errorOf(await sendManaged('GET', `${path}/v2/pull_statistics`))).toEqual([
      404,
      'not_found',
    ]);
  });
});
