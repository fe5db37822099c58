import { describe, it } from 'vitest';

import { aName, imageIn, pushImage, send, sendAndSettle } from '../../support/http.ts';
import { tagsOf } from '../../support/management.ts';
import { type ManagedCall, sendManaged } from '../../support/openapi.ts';

interface Recorded {
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Sends a change and waits for its record; throws unless it succeeds. */
async function change(method: string, path: string, json?: unknown): Promise<unknown> {
  const call: ManagedCall = { ...(json === undefined ? {} : { json }), via: sendAndSettle };
  const { status, text, json: answer } = await sendManaged(method, path, call);
  if (status >= 300) {
    throw new Error(`${method} ${path}: ${status} ${text}`);
  }
  return answer;
}

/** What the log of an owner has, the first first. */
async function recordsOf(path: string): Promise<readonly Recorded[]> {
  const records: Recorded[] = [];
  let query = '';
  do {
    const { text } = await send('GET', `/api/v1${path}/logs${query}`);
    const page = JSON.parse(text) as { logs: Recorded[]; next_page?: string };
    records.push(...page.logs);
    query = page.next_page === undefined ? '' : `?next_page=${page.next_page}`;
  } while (query !== '');
  return records.toReversed();
}

const kindsOf = (records: readonly Recorded[]) => records.map(({ kind }) => kind);

const policy = async (path: string, json: object): Promise<string> =>
  `${path}/${((await change('POST', path, json)) as { uuid: string }).uuid}`;

describe('the audit log has each change', () => {
  it('of tags and labels, with what it was before', async ({ expect }) => {
    const name = aName();
    const first = await pushImage(name, 'v1');
    const second = await imageIn(name);
    await send('PUT', `/v2/${name}/manifests/v2`, {
      headers: { 'Content-Type': second.mediaType },
      body: second.bytes,
    });
    const repository = `/repository/${name}`;
    const expiration = Math.floor(Date.now() / 1000) + 86_400;
    await change('PUT', `${repository}/tag/v1`, { expiration });
    await change('PUT', `${repository}/tag/v1`, {
      expiration: null,
      manifest_digest: second.digest,
    });
    await change('PUT', `${repository}/tag/v3`, { manifest_digest: second.digest });
    await change('PUT', `${repository}/tag/v3`, { immutable: true });
    await change('DELETE', `${repository}/tag/v1`);
    await change('POST', `${repository}/tag/v1/restore`, { manifest_digest: first.digest });
    const labels = `${repository}/manifest/${first.digest}/labels`;
    const { label } = (await change('POST', labels, {
      key: 'team',
      value: 'core',
      media_type: null,
    })) as { label: { id: string } };
    await change('DELETE', `${labels}/${label.id}`);
    const records = (await recordsOf(repository)).filter(
      ({ kind }) => !/^(push|create)_repo$/.test(kind),
    );
    expect(kindsOf(records)).toEqual([
      'change_tag_expiration',
      'change_tag_expiration',
      'move_tag',
      'create_tag',
      'change_tag_immutability',
      'delete_tag',
      'revert_tag',
      'manifest_label_add',
      'manifest_label_delete',
    ]);
    expect(records.slice(0, 5).map(({ metadata }) => metadata)).toMatchObject([
      { tag: 'v1', expiration_date: expiration, old_expiration_date: null },
      { tag: 'v1', expiration_date: null, old_expiration_date: expiration },
      {
        tag: 'v1',
        manifest_digest: second.digest,
        original_manifest_digest: first.digest,
      },
      { tag: 'v3', manifest_digest: second.digest },
      { tag: 'v3', immutable: true, previous_immutable: false },
    ]);
    expect(records.at(-1)?.metadata).toMatchObject({ key: 'team', value: 'core' });
  });

  it('of the end that a tag came to, not of one that it cannot have', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const repository = `/repository/${name}`;
    await change('PUT', `${repository}/tag/v1`, { expiration: 2_524_608_000 });
    const { tags } = await tagsOf(name);
    const records = await recordsOf(repository);
    const [end] = records.filter(({ kind }) => kind === 'change_tag_expiration');
    expect(end?.metadata).toMatchObject({ expiration_date: tags[0]?.['end_ts'] });
    expect(tags[0]?.['end_ts']).toBe(Number(tags[0]?.['start_ts']) + 104 * 7 * 86_400);
  });

  it('of repositories, policies, quotas and organizations, and none of a refusal', async ({
    expect,
  }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const [organization = ''] = name.split('/');
    const repository = `/repository/${name}`;
    const owner = `/organization/${organization}`;
    await change('PUT', repository, { description: 'what it is for' });
    await change('POST', `${repository}/changevisibility`, { visibility: 'public' });
    await change('PUT', `${repository}/changestate`, { state: 'READ_ONLY' });
    const locks = await policy(`${repository}/immutabilitypolicy`, { tagPattern: 'v[0-9]+' });
    await change('PUT', locks, { tagPattern: 'v.*' });
    await change('DELETE', locks);
    const keep = { method: 'number_of_tags', value: 5 };
    for (const path of [repository, owner]) {
      const retention = await policy(`${path}/autoprunepolicy`, keep);
      await change('PUT', retention, { ...keep, value: 6 });
      await change('DELETE', retention);
    }
    await change('PUT', owner, { tag_expiration_s: 86_400, member_role: 'read' });
    await change('PUT', `${owner}/regions`, { mode: 'observe', blocked: ['US'] });
    await change('POST', `${owner}/quota`, { limit: '10 GiB' });
    await change('PUT', `${owner}/quota/1`, { limit: '20 GiB' });
    await change('DELETE', `${owner}/quota/1`);
    const refused = { json: { held_by_pull_days: 9999 }, via: sendAndSettle };
    expect((await sendManaged('PUT', owner, refused)).status).toBe(400);
    await change('POST', '/superuser/users/', { username: `${organization}-ada` });
    for (const role of ['member', 'admin']) {
      await change('PUT', `${owner}/members/${organization}-ada`, { role });
    }
    const notifications = `${repository}/notification`;
    const { uuid } = (await change('POST', notifications, {
      event: 'repo_image_expiry',
      method: 'webhook',
      config: { url: 'https://hooks.example.com/a-token' },
      eventConfig: { days: 3 },
    })) as { uuid: string };
    await change('POST', `${notifications}/${uuid}`);
    await change('DELETE', `${notifications}/${uuid}`);
    await change('DELETE', repository);
    const records = (await recordsOf(owner)).filter(({ kind }) => kind !== 'push_repo');
    expect(kindsOf(records)).toEqual([
      'create_repo',
      'set_repo_description',
      'change_repo_visibility',
      'change_repo_state',
      'create_immutability_policy',
      'tags_made_immutable_by_policy',
      'update_immutability_policy',
      'delete_immutability_policy',
      'create_repository_autoprune_policy',
      'update_repository_autoprune_policy',
      'delete_repository_autoprune_policy',
      'create_namespace_autoprune_policy',
      'update_namespace_autoprune_policy',
      'delete_namespace_autoprune_policy',
      'org_change_tag_expiration',
      'org_change',
      'org_change_regions',
      'org_create_quota',
      'org_change_quota',
      'org_delete_quota',
      'org_add_member',
      'org_change_member',
      'add_repo_notification',
      'reset_repo_notification',
      'delete_repo_notification',
      'delete_repo',
    ]);
    const settings = records.find(({ kind }) => kind === 'org_change');
    expect(settings?.metadata).toMatchObject({ member_role: 'read' });
    const added = records.find(({ kind }) => kind === 'add_repo_notification');
    expect(added?.metadata).toMatchObject({
      notification_id: uuid,
      event: 'repo_image_expiry',
      method: 'webhook',
    });
  });
});

describe('an organization', () => {
  it('is deleted by its admins, a person by the administrator alone', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const [organization = ''] = name.split('/');
    await change('DELETE', `/organization/${organization}`);
    expect((await sendManaged('GET', `/organization/${organization}`)).status).toBe(404);
    expect((await send('GET', `/v2/${name}/manifests/v1`)).status).toBe(404);
    expect((await sendManaged('DELETE', `/organization/${organization}`)).status).toBe(404);
    const username = `${organization}-eve`;
    const made = (await change('POST', '/superuser/users/', { username })) as {
      token: { token_code: string };
    };
    const authorization = `Basic ${btoa(`${username}:${made.token.token_code}`)}`;
    const own = await sendManaged('DELETE', `/organization/${username}`, { authorization });
    expect(own.status).toBe(403);
    await change('DELETE', `/organization/${username}`);
    const after = await send('GET', '/v2/', { authorization });
    expect(after.status).toBe(401);
  });
});
