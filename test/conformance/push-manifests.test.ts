import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import {
  descriptorOf,
  errorsOf,
  imageIn,
  pick,
  pushImage,
  putManifest,
  refusal,
  send,
} from '../support/http.ts';

const NAME = 'acme/app';

const tagQuery = (...tagNames: readonly string[]) =>
  `?${tagNames.map((tagName) => `tag=${tagName}`).join('&')}`;

const namesOf = (count: number) => Array.from({ length: count }, (_, at) => `t${at}`);

async function tagsOf(name: string): Promise<readonly string[]> {
  const { text } = await send('GET', `/v2/${name}/tags/list?n=1000`);
  return (JSON.parse(text) as { tags?: readonly string[] }).tags ?? [];
}

describe('a push by digest with tag parameters', () => {
  it('sets every tag, and names it in OCI-Tag with the subject beside it', async ({ expect }) => {
    const subject = await imageIn(NAME);
    const image = await imageIn(NAME, { subject: descriptorOf(subject) });
    const put = await putManifest(NAME, image, `${image.digest}${tagQuery('b', 'a', 'b')}`);
    expect(put.status).toBe(201);
    expect(pick(put, 'oci-tag', 'oci-subject', 'docker-content-digest', 'location')).toEqual({
      'oci-tag': 'b, a',
      'oci-subject': subject.digest,
      'docker-content-digest': image.digest,
      location: `/v2/${NAME}/manifests/${image.digest}`,
    });
    expect(await tagsOf(NAME)).toEqual(['a', 'b']);
    const hidden = await env.DB.prepare('SELECT name FROM tag WHERE hidden = 1').all();
    expect(hidden.results).toEqual([]);
  });

  it('moves tags that point elsewhere', async ({ expect }) => {
    const [first, second] = [await pushImage(NAME, 'latest'), await imageIn(NAME)];
    await putManifest(NAME, second, `${second.digest}${tagQuery('latest', 'v2')}`);
    const head = await send('HEAD', `/v2/${NAME}/manifests/latest`);
    expect(head.headers.get('Docker-Content-Digest')).toBe(second.digest);
    expect(first.digest).not.toBe(second.digest);
  });

  it('takes 50 tags, and is 414 for one more with nothing stored', async ({ expect }) => {
    const image = await imageIn(NAME);
    const tooMany = await putManifest(NAME, image, `${image.digest}${tagQuery(...namesOf(51))}`);
    expect([tooMany.status, errorsOf(tooMany)[0]?.detail]).toEqual([
      414,
      { reason: 'TOO_MANY_TAGS' },
    ]);
    expect((await send('HEAD', `/v2/${NAME}/manifests/${image.digest}`)).status).toBe(404);
    const most = await putManifest(NAME, image, `${image.digest}${tagQuery(...namesOf(50))}`);
    expect(most.status).toBe(201);
    expect(await tagsOf(NAME)).toEqual(namesOf(50).toSorted());
  });

  it('sets none where one is illegal or immutable', async ({ expect }) => {
    await pushImage(NAME, 'locked');
    await env.DB.prepare("UPDATE tag SET immutable = 1 WHERE name = 'locked'").run();
    const image = await imageIn(NAME);
    for (const [bad, wanted] of [
      ['.illegal', '400 MANIFEST_INVALID'],
      ['', '400 MANIFEST_INVALID'],
      ['locked', '409 DENIED'],
    ] as const) {
      const put = await putManifest(NAME, image, `${image.digest}${tagQuery('fine', bad)}`);
      expect([bad, refusal(put)]).toEqual([bad, wanted]);
    }
    expect(await tagsOf(NAME)).toEqual(['locked']);
  });

  it('is no tag parameter where the push is by tag', async ({ expect }) => {
    const image = await imageIn(NAME);
    const put = await putManifest(NAME, image, `v1${tagQuery('other')}`);
    expect([put.status, put.headers.get('OCI-Tag')]).toEqual([201, null]);
    expect(await tagsOf(NAME)).toEqual(['v1']);
  });
});
