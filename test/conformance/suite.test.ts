import { describe, type ExpectStatic, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { algorithmOf, computeDigest } from '../../src/model/digest.ts';
import {
  type Answer,
  locationOf,
  pick,
  putManifest,
  refusal,
  type SentManifest,
  send,
} from '../support/http.ts';
import { badDigestImage, DATA_SETS, type DataSet } from './suite-data.ts';

const NAME = 'conformance/repo1';
const ABSENT = `sha256:${'0'.repeat(64)}`;

const pathOf = (reference: string) => `/v2/${NAME}/manifests/${reference}`;

function subjectOf({ bytes }: SentManifest): string | null {
  const content = JSON.parse(new TextDecoder().decode(bytes)) as { subject?: { digest: string } };
  return content.subject?.digest ?? null;
}

/** What the bytes are called by; comparing megabytes one by one would take seconds. */
async function digestLike({ digest }: SentManifest, { bytes }: Answer): Promise<string> {
  return computeDigest(algorithmOf(digest), bytes);
}

async function pushAll(expect: ExpectStatic, { manifests, tags, tagsAsParameters }: DataSet) {
  const tagNames = Object.keys(tags);
  for (const manifest of manifests) {
    const parameters = tagNames.map((tagName) => `tag=${tagName}`).join('&');
    const reference = tagsAsParameters ? `${manifest.digest}?${parameters}` : manifest.digest;
    const put = await putManifest(NAME, manifest, reference);
    expect(put.status, put.text).toBe(201);
    expect(put.headers.get('Docker-Content-Digest')).toBe(manifest.digest);
    expect(put.headers.get('OCI-Subject')).toBe(subjectOf(manifest));
    expect(put.headers.get('OCI-Tag')?.split(', ') ?? null).toEqual(
      tagsAsParameters ? tagNames : null,
    );
    expect(await digestLike(manifest, await send('GET', locationOf(put)))).toBe(manifest.digest);
  }
  for (const [tagName, manifest] of tagsAsParameters ? [] : Object.entries(tags)) {
    const put = await putManifest(NAME, manifest, tagName);
    expect(put.status, put.text).toBe(201);
    expect(put.headers.get('OCI-Subject')).toBe(subjectOf(manifest));
  }
}

async function listAndPull(expect: ExpectStatic, { blobs, manifests, tags }: DataSet) {
  if (manifests.length > 0) {
    const list = JSON.parse((await send('GET', `/v2/${NAME}/tags/list`)).text) as object;
    expect(list).toEqual({ name: NAME, tags: Object.keys(tags).toSorted() });
  }
  for (const digest of blobs) {
    const [head, get] = [
      await send('HEAD', `/v2/${NAME}/blobs/${digest}`),
      await send('GET', `/v2/${NAME}/blobs/${digest}`),
    ];
    expect([head.status, get.status]).toEqual([200, 200]);
    expect(head.headers.get('Content-Length')).toBe(String(get.bytes.byteLength));
    expect(get.headers.get('Docker-Content-Digest')).toBe(digest);
  }
  const named = manifests.map((manifest) => [manifest.digest, manifest] as const);
  for (const [reference, manifest] of [...named, ...Object.entries(tags)]) {
    const { mediaType, bytes, digest } = manifest;
    const wanted = {
      'content-type': mediaType,
      'content-length': String(bytes.byteLength),
      'docker-content-digest': digest,
    };
    for (const method of ['HEAD', 'GET']) {
      const answer = await send(method, pathOf(reference));
      expect([method, reference, answer.status]).toEqual([method, reference, 200]);
      expect(pick(answer, ...Object.keys(wanted))).toEqual(wanted);
      if (method === 'GET') {
        expect(await digestLike(manifest, answer)).toBe(digest);
      } else {
        expect(answer.bytes.byteLength).toBe(0);
      }
    }
  }
}

async function checkReferrers(expect: ExpectStatic, { manifests, referrers = [] }: DataSet) {
  for (const subject of new Set(referrers.map((referrer) => referrer.subject))) {
    const answer = await send('GET', `/v2/${NAME}/referrers/${subject}`);
    expect(answer.headers.get('Content-Type')).toBe(MANIFEST_MEDIA_TYPES.ociIndex);
    const listed = JSON.parse(answer.text) as { manifests: readonly { digest: string }[] };
    expect(listed.manifests.map(({ digest }) => digest)).toEqual(
      referrers.map(({ by }) => by.digest),
    );
  }
  const last = manifests.at(-1);
  if (last !== undefined) {
    expect((await send('GET', `/v2/${NAME}/referrers/${last.digest}`)).status).toBe(200);
  }
}

async function deleteAll(expect: ExpectStatic, { blobs, manifests, tags }: DataSet) {
  for (const tagName of Object.keys(tags)) {
    expect((await send('DELETE', pathOf(tagName))).status).toBe(202);
    expect((await send('HEAD', pathOf(tagName))).status).toBe(404);
  }
  for (const { digest } of manifests.toReversed()) {
    // A manifest that only the deleted tags held went with them.
    expect([202, 404]).toContain((await send('DELETE', pathOf(digest))).status);
    expect((await send('HEAD', pathOf(digest))).status).toBe(404);
  }
  for (const digest of blobs) {
    const path = `/v2/${NAME}/blobs/${digest}`;
    const deleted = await send('DELETE', path);
    if (deleted.status === 405) {
      expect(deleted.text).toContain('BLOB_IN_USE');
    } else {
      expect(deleted.status).toBe(202);
      expect((await send('HEAD', path)).status).toBe(404);
    }
  }
}

describe('the data test', () => {
  it.for(Object.entries(DATA_SETS))(
    '%s is pushed, listed, pulled and deleted',
    async ([, build], { expect }) => {
      const data = await build(NAME);
      await pushAll(expect, data);
      await listAndPull(expect, data);
      await checkReferrers(expect, data);
      await deleteAll(expect, data);
      const list = await send('GET', `/v2/${NAME}/tags/list`);
      expect(list.text).toBe(JSON.stringify({ name: NAME, tags: [] }));
    },
  );

  it('may use a tag again as soon as another one deleted it', async ({ expect }) => {
    for (const test of ['index', 'empty-index', 'image', 'image']) {
      const data = await (DATA_SETS[test] ?? expect.unreachable())(NAME);
      await pushAll(expect, data);
      await listAndPull(expect, data);
      await deleteAll(expect, data);
    }
  });

  it('bad-digest-image is refused and leaves nothing', async ({ expect }) => {
    const image = await badDigestImage(NAME);
    expect(refusal(await putManifest(NAME, image))).toBe('400 DIGEST_INVALID');
    expect((await send('HEAD', pathOf(image.digest))).status).toBe(404);
  });
});

describe('the manifest test', () => {
  it('missing-manifest is 404, by digest and by tag', async ({ expect }) => {
    await pushAll(expect, await (DATA_SETS['image'] ?? expect.unreachable())(NAME));
    for (const reference of [ABSENT, 'missing']) {
      expect((await send('HEAD', pathOf(reference))).status).toBe(404);
      expect(refusal(await send('GET', pathOf(reference)))).toBe('404 MANIFEST_UNKNOWN');
      expect((await send('DELETE', pathOf(reference))).status).toBe(404);
    }
  });

  it('invalid-digest-format is 400 for PUT and GET', async ({ expect }) => {
    const image = await badDigestImage(NAME);
    const malformed = 'sha256:baddigeststring';
    expect(refusal(await putManifest(NAME, image, malformed))).toBe('400 DIGEST_INVALID');
    expect(refusal(await send('GET', pathOf(malformed)))).toBe('400 DIGEST_INVALID');
  });
});

describe('the test of an empty repository', () => {
  it('has referrers of nothing before anything was pushed, and may have no tags', async ({
    expect,
  }) => {
    const referrers = await send('GET', `/v2/${NAME}/referrers/${ABSENT}`);
    expect(referrers.status).toBe(200);
    expect((await send('GET', `/v2/${NAME}/tags/list`)).status).toBe(404);
  });
});
