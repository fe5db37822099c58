import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import {
  descriptorOf,
  imageIn,
  indexOf,
  pick,
  pushImage,
  putManifest,
  refusal,
  type SentManifest,
  send,
} from '../support/http.ts';

const NAME = 'acme/app';
const ABSENT = `sha256:${'0'.repeat(64)}`;
const SBOM = 'application/vnd.example.sbom+json';

interface Listed {
  readonly mediaType: string;
  readonly manifests: readonly { readonly digest: string; readonly artifactType?: string }[];
}

/** The descriptors of a page of referrers, and where the next page is. */
async function referrersAt(path: string) {
  const answer = await send('GET', path);
  const { manifests } = JSON.parse(answer.text) as Listed;
  const next = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('Link') ?? '')?.[1] ?? null;
  return { answer, manifests, next };
}

const referrersOf = (subject: string, query = '') =>
  referrersAt(`/v2/${NAME}/referrers/${subject}${query}`);

async function refer(subject: SentManifest, fields: object = {}): Promise<SentManifest> {
  const image = await imageIn(NAME, { subject: descriptorOf(subject), ...fields });
  await putManifest(NAME, image);
  return image;
}

describe('the list of referrers', () => {
  it('of an unknown repository or digest is 200 and an empty index', async ({ expect }) => {
    const empty =
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}';
    for (const name of ['acme/unknown', NAME, 'acme/unknown/deep']) {
      const answer = await send('GET', `/v2/${name}/referrers/${ABSENT}`);
      expect([answer.status, answer.text]).toEqual([200, empty]);
      expect(
        pick(answer, 'content-type', 'content-length', 'cache-control', 'oci-filters-applied'),
      ).toEqual({
        'content-type': MANIFEST_MEDIA_TYPES.ociIndex,
        'content-length': String(empty.length),
        'cache-control': 'no-transform',
      });
      await pushImage(NAME, 'v1');
    }
  });

  it('of a malformed digest is 400', async ({ expect }) => {
    for (const digest of ['sha256:x', 'latest', 'md5:00', `sha256:${'A'.repeat(64)}`]) {
      const answer = await send('GET', `/v2/${NAME}/referrers/${digest}`);
      expect(refusal(answer)).toBe('400 DIGEST_INVALID');
    }
  });

  it('describes images by artifactType or config type, indexes by their own', async ({
    expect,
  }) => {
    const subject = await imageIn(NAME);
    const annotations = { 'org.example.kind': 'ü' };
    const typed = await refer(subject, { artifactType: SBOM, annotations });
    const untyped = await refer(subject);
    const index = await indexOf([typed], { subject: descriptorOf(subject), annotations: {} });
    await putManifest(NAME, index, 'index');
    const { answer, manifests } = await referrersOf(subject.digest);
    expect(manifests).toEqual([
      { ...descriptorOf(typed), artifactType: SBOM, annotations },
      { ...descriptorOf(untyped), artifactType: 'application/vnd.example.config' },
      descriptorOf(index),
    ]);
    expect(answer.headers.get('Content-Length')).toBe(String(answer.bytes.byteLength));
  });

  it('has only those of an artifactType that is asked for, and says so', async ({ expect }) => {
    const subject = await imageIn(NAME);
    await refer(subject);
    const typed = await refer(subject, { artifactType: 'application/vnd.a+json' });
    for (const [type, digests] of [
      ['application/vnd.a%2Bjson', [typed.digest]],
      ['application/none', []],
    ] as const) {
      const { answer, manifests } = await referrersOf(subject.digest, `?artifactType=${type}`);
      expect(manifests.map(({ digest }) => digest)).toEqual(digests);
      expect(answer.headers.get('OCI-Filters-Applied')).toBe('artifactType');
    }
  });

  it('is told at once of what is pushed and deleted, and of no other repository', async ({
    expect,
  }) => {
    const subject = await imageIn(NAME);
    const referrer = await refer(subject);
    expect((await referrersOf(subject.digest)).manifests).toHaveLength(1);
    const elsewhere = await referrersAt(`/v2/acme/other/referrers/${subject.digest}`);
    expect(elsewhere.manifests).toEqual([]);
    await send('DELETE', `/v2/${NAME}/manifests/${referrer.digest}`);
    expect((await referrersOf(subject.digest)).manifests).toEqual([]);
  });

  it('is linked from page to page, each an index with the filter kept', async ({ expect }) => {
    const subject = await imageIn(NAME);
    const annotations = { big: 'x'.repeat(1_500_000) };
    const pushed = [];
    for (let at = 0; at < 3; at += 1) {
      pushed.push((await refer(subject, { artifactType: SBOM, annotations })).digest);
    }
    const seen: string[] = [];
    const filter = `?artifactType=${encodeURIComponent(SBOM)}`;
    let path: string | null = `/v2/${NAME}/referrers/${subject.digest}${filter}`;
    let pages = 0;
    while (path !== null && pages < 5) {
      const { answer, manifests, next } = await referrersAt(path);
      expect(answer.headers.get('Content-Type')).toBe(MANIFEST_MEDIA_TYPES.ociIndex);
      expect(answer.headers.get('OCI-Filters-Applied')).toBe('artifactType');
      seen.push(...manifests.map(({ digest }) => digest));
      path = next;
      pages += 1;
    }
    expect([pages, seen]).toEqual([2, pushed]);
  });
});

describe('the catalog', () => {
  it('is every repository in byte order, linked page to page', async ({ expect }) => {
    for (const name of ['acme/b', 'acme/a/x', 'acme-x/c', 'zeta/a']) {
      await pushImage(name, 'v1');
    }
    const all = ['acme-x/c', 'acme/a/x', 'acme/b', 'zeta/a'];
    const whole = await send('GET', '/v2/_catalog');
    expect(JSON.parse(whole.text)).toEqual({ repositories: all });
    expect(whole.headers.get('Link')).toBeNull();
    const page = await send('GET', '/v2/_catalog?n=2');
    expect(JSON.parse(page.text)).toEqual({ repositories: all.slice(0, 2) });
    const link = '</v2/_catalog?n=2&last=acme%2Fa%2Fx>; rel="next"';
    expect(page.headers.get('Link')).toBe(link);
    const rest = await send('GET', '/v2/_catalog?n=2&last=acme%2Fa%2Fx');
    expect(JSON.parse(rest.text)).toEqual({ repositories: all.slice(2) });
    expect(rest.headers.get('Link')).toBeNull();
  });

  it('begins strictly after last, which need not exist, and is empty for n=0', async ({
    expect,
  }) => {
    await pushImage('acme/a', 'v1');
    await pushImage('acme/c', 'v1');
    for (const [query, repositories] of [
      ['last=acme/b', ['acme/c']],
      ['last=acme/c', []],
      ['n=0', []],
    ] as const) {
      const answer = await send('GET', `/v2/_catalog?${query}`);
      expect([query, answer.text]).toEqual([query, JSON.stringify({ repositories })]);
      expect(answer.headers.get('Link')).toBeNull();
    }
  });

  it('is 401 without credentials, and 405 for writes', async ({ expect }) => {
    const anonymous = await send('GET', '/v2/_catalog', { authorization: null });
    expect(refusal(anonymous)).toBe('401 UNAUTHORIZED');
    const written = await send('POST', '/v2/_catalog');
    expect([refusal(written), written.headers.get('Allow')]).toEqual([
      '405 UNSUPPORTED',
      'GET, HEAD',
    ]);
  });

  it('leaves out a repository that is being deleted', async ({ expect }) => {
    await pushImage(NAME, 'v1');
    await env.DB.prepare('UPDATE repository SET state = 3').run();
    expect((await send('GET', '/v2/_catalog')).text).toBe('{"repositories":[]}');
  });
});

describe('the discovery of extensions', () => {
  it('is an empty list, for the registry and for a repository that is there', async ({
    expect,
  }) => {
    await pushImage(NAME, 'v1');
    for (const path of ['/v2/_oci/ext/discover', `/v2/${NAME}/_oci/ext/discover`]) {
      const answer = await send('GET', path);
      expect([answer.status, answer.text]).toEqual([200, '{"extensions":[]}']);
      expect(refusal(await send('GET', path, { authorization: null }))).toBe('401 UNAUTHORIZED');
      expect(refusal(await send('PUT', path))).toBe('405 UNSUPPORTED');
    }
    const unknown = await send('GET', '/v2/acme/unknown/_oci/ext/discover');
    expect(refusal(unknown)).toBe('404 NAME_UNKNOWN');
  });
});
