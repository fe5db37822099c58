import { describe, it } from 'vitest';

import { uniqueBytes } from '../../support/content.ts';
import {
  type Answer,
  descriptorOf,
  imageIn,
  locationOf,
  manifestOf,
  putManifest,
  refusal,
  send,
  startUpload,
  uploadBlob,
  withQuery,
} from '../../support/http.ts';

/** What routes are made of. Each is a name that a repository, or a part of one, or a tag may have. */
const WORDS = ['manifests', 'blobs', 'uploads', 'tags', 'list', 'referrers', 'auth'] as const;

/** Repositories whose names have a word between others, or are nothing else. */
const NAMES = WORDS.flatMap((word) => [word, `a/${word}/b`, `${word}/${word}`]);

/** Names that end as the path of another route does. */
const NAMES_LIKE_ROUTES = [
  'a/tags/list',
  'a/blobs/uploads',
  'a/blobs/uploads/blobs/uploads',
  'a/manifests/manifests/manifests',
  'a/referrers/manifests/tags/list',
];

const ALL_NAMES = [...NAMES, ...NAMES_LIKE_ROUTES];

function statusOf({ status, text }: Answer): string {
  return status < 300 ? String(status) : `${status} ${text}`;
}

describe('a path is read from its right end', () => {
  it('where repositories and tags are called as routes are', async ({ expect }) => {
    const pushed = [];
    for (const name of ALL_NAMES) {
      const image = await imageIn(name);
      for (const tag of WORDS) {
        const put = await putManifest(name, image, tag);
        expect([name, tag, statusOf(put)]).toEqual([name, tag, '201']);
        expect(locationOf(put)).toBe(`/v2/${name}/manifests/${image.digest}`);
      }
      pushed.push({ name, image });
    }
    // Only now, so that what went to a neighbour by mistake is found there.
    for (const { name, image } of pushed) {
      for (const reference of [...WORDS, image.digest]) {
        const got = await send('GET', `/v2/${name}/manifests/${reference}`);
        expect([name, reference, statusOf(got)]).toEqual([name, reference, '200']);
        expect(got.bytes).toEqual(image.bytes);
      }
      const list = await send('GET', `/v2/${name}/tags/list`);
      expect(JSON.parse(list.text)).toEqual({ name, tags: WORDS.toSorted() });
    }
    for (const { name } of pushed) {
      const [tag, ...kept] = WORDS;
      const deleted = await send('DELETE', `/v2/${name}/manifests/${tag}`);
      expect([name, statusOf(deleted)]).toEqual([name, '202']);
      expect(refusal(await send('GET', `/v2/${name}/manifests/${tag}`))).toBe(
        '404 MANIFEST_UNKNOWN',
      );
      const list = await send('GET', `/v2/${name}/tags/list`);
      expect(JSON.parse(list.text)).toEqual({ name, tags: kept.toSorted() });
    }
  });

  it('where a tag begins as a route does', async ({ expect }) => {
    const image = await imageIn('acme/app');
    for (const word of WORDS) {
      for (const tag of [`${word}-1`, `${word}.x`, `${word}_`, `${word}s`, `x-${word}`]) {
        expect([tag, statusOf(await putManifest('acme/app', image, tag))]).toEqual([tag, '201']);
        const got = await send('GET', `/v2/acme/app/manifests/${tag}`);
        expect([tag, got.status, got.bytes]).toEqual([tag, 200, image.bytes]);
      }
    }
  });

  it('where the blobs, uploads and referrers of such repositories are', async ({ expect }) => {
    for (const name of ALL_NAMES) {
      const bytes = uniqueBytes();
      const blob = await uploadBlob(name, bytes);
      const got = await send('GET', `/v2/${name}/blobs/${blob}`);
      expect([name, got.status, got.bytes]).toEqual([name, 200, bytes]);

      const session = await startUpload(name);
      expect([name, session.startsWith(`/v2/${name}/blobs/uploads/`)]).toEqual([name, true]);
      expect((await send('PATCH', session, { body: bytes })).status).toBe(202);
      expect((await send('PUT', withQuery(session, { digest: blob }))).status).toBe(201);

      const subject = await imageIn(name);
      const { mediaType, bytes: body } = await imageIn(name);
      const content = JSON.parse(new TextDecoder().decode(body)) as object;
      const referrer = await manifestOf(mediaType, { ...content, subject: descriptorOf(subject) });
      expect((await putManifest(name, subject)).status).toBe(201);
      expect((await putManifest(name, referrer)).status).toBe(201);
      const referrers = await send('GET', `/v2/${name}/referrers/${subject.digest}`);
      const { manifests } = JSON.parse(referrers.text) as { manifests: { digest: string }[] };
      expect([name, manifests.map(({ digest }) => digest)]).toEqual([name, [referrer.digest]]);

      expect((await send('DELETE', `/v2/${name}/blobs/${blob}`)).status).toBe(202);
      expect(refusal(await send('GET', `/v2/${name}/blobs/${blob}`))).toBe('404 BLOB_UNKNOWN');
    }
  });

  it('and one without a repository is no path', async ({ expect }) => {
    for (const path of ['manifests/x', 'blobs/x', 'blobs/uploads', 'tags/list', 'referrers/x']) {
      expect([path, refusal(await send('GET', `/v2/${path}`))]).toEqual([path, '404 NAME_UNKNOWN']);
    }
  });
});
