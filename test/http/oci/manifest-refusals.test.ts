import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import {
  descriptorOf,
  errorsOf,
  imageIn,
  indexOf,
  manifestOf,
  pushImage,
  putManifest,
  refusal,
  type SentManifest,
  send,
  unannounced,
} from '../../support/http.ts';

const NAME = 'acme/app';
const TYPE = MANIFEST_MEDIA_TYPES.ociManifest;
const LIMIT = 4 * 1024 * 1024;

const digestAt = (index: number): string => `sha256:${String(index).repeat(64)}`;

const layer = (digest: string) => ({ mediaType: 'application/octet-stream', size: 1, digest });

const put = (body: BodyInit, type: string | null = TYPE, reference = 'v1') =>
  send('PUT', `/v2/${NAME}/manifests/${reference}`, {
    headers: type === null ? {} : { 'Content-Type': type },
    body,
  });

/** A manifest of exactly so many bytes, by spaces behind it. */
async function padded({ bytes, mediaType }: SentManifest, size: number): Promise<SentManifest> {
  const content = new Uint8Array(size).fill(0x20);
  content.set(bytes);
  return { mediaType, bytes: content, digest: await computeDigest('sha256', content) };
}

describe('a manifest is refused', () => {
  it('with 415 for any type that is not stored', async ({ expect }) => {
    const { bytes } = await imageIn(NAME);
    for (const type of [
      'application/vnd.docker.distribution.manifest.v1+json',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'application/vnd.oci.artifact.manifest.v1+json',
      'application/vnd.cncf.helm.config.v1+json',
      'application/octet-stream',
      'text/plain; charset=utf-8',
      'text/html',
      '*/*',
      'x',
      `${TYPE}, ${TYPE}`,
    ]) {
      expect([type, refusal(await put(bytes, type))]).toEqual([type, '415 MANIFEST_INVALID']);
    }
  });

  it('with 415 where neither header nor body names its type', async ({ expect }) => {
    for (const content of ['{"schemaVersion":2}', '{"mediaType":5}', 'x', '', '[]', 'null']) {
      for (const type of [null, 'application/json']) {
        const answer = await put(new TextEncoder().encode(content), type);
        expect([content, type, refusal(answer)]).toEqual([content, type, '415 MANIFEST_INVALID']);
      }
    }
  });

  it('with 400 where its own type is not that of the header', async ({ expect }) => {
    const { bytes } = await imageIn(NAME);
    for (const type of [MANIFEST_MEDIA_TYPES.ociIndex, MANIFEST_MEDIA_TYPES.dockerManifest]) {
      expect([type, refusal(await put(bytes, type))]).toEqual([type, '400 MANIFEST_INVALID']);
    }
  });

  it('with 413 above 4 MiB, announced or not, and not at it', async ({ expect }) => {
    const image = await imageIn(NAME);
    const { bytes } = await padded(image, LIMIT + 1);
    for (const body of [bytes, unannounced(bytes)]) {
      const answer = await put(body);
      expect([answer.status, errorsOf(answer)]).toEqual([
        413,
        [
          {
            code: 'MANIFEST_INVALID',
            message: `a manifest may have at most ${LIMIT} bytes`,
            detail: { maxBytes: LIMIT },
          },
        ],
      ]);
    }
    const largest = await padded(image, LIMIT);
    expect((await putManifest(NAME, largest)).status).toBe(201);
    expect((await put(unannounced(largest.bytes))).status).toBe(201);
    const pulled = await send('GET', `/v2/${NAME}/manifests/v1`);
    expect(pulled.headers.get('Content-Length')).toBe(String(LIMIT));
  });

  it('with 400 where it is no JSON object in UTF-8', async ({ expect }) => {
    const { bytes } = await imageIn(NAME);
    const text = new TextDecoder().decode(bytes);
    const bodies: readonly (readonly [string, BodyInit])[] = [
      ['nothing', ''],
      ['cut off', bytes.slice(0, -1)],
      ['byte order mark', `\uFEFF${text}`],
      ['UTF-16', new Uint8Array(Uint16Array.from(text, (c) => c.charCodeAt(0)).buffer)],
      ['broken UTF-8', new Uint8Array([...bytes.slice(0, -1), 0x2c, 0x22, 0xff, 0x22, 0x7d])],
      ['an array', '[]'],
      ['null', 'null'],
      ['a string', '"x"'],
      ['a number', '1e999'],
      ['two', `${text}${text}`],
      ['no fields', '{}'],
      ['schema version 1', text.replace('"schemaVersion":2', '"schemaVersion":1')],
      ['layers of another form', text.replace(/"layers":\[.*\]/, '"layers":{}')],
      ['a negative size', text.replace(/"size":100/, '"size":-1')],
      ['a malformed digest', text.replaceAll('sha256:', 'sha256:x')],
      ['an unknown algorithm', text.replaceAll('sha256:', 'md5:')],
      ['a bomb of arrays', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
      ['a bomb of objects', `{"a":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_001)}`],
    ];
    for (const [what, body] of bodies) {
      expect([what, refusal(await put(body))]).toEqual([what, '400 MANIFEST_INVALID']);
    }
  });

  it('with 400 DIGEST_INVALID where the path has another digest', async ({ expect }) => {
    const image = await imageIn(NAME);
    const { bytes, mediaType, digest } = image;
    const spaced = new Uint8Array([...bytes, 0x20, 0x20]);
    expect(refusal(await put(spaced, mediaType, digest))).toBe('400 DIGEST_INVALID');
    for (const reference of [
      digestAt(0),
      `sha512:${'0'.repeat(128)}`,
      'sha256:baddigeststring',
      digest.toUpperCase(),
      digest.replace('sha256', 'sha512'),
      'sha256:',
      ':',
      'v1:latest',
    ]) {
      const answer = await put(bytes, mediaType, reference);
      expect([reference, refusal(answer)]).toEqual([reference, '400 DIGEST_INVALID']);
    }
    for (const method of ['GET', 'DELETE']) {
      const answer = await send(method, `/v2/${NAME}/manifests/sha256:baddigeststring`);
      expect(refusal(answer)).toBe('400 DIGEST_INVALID');
    }
  });

  it('with one MANIFEST_BLOB_UNKNOWN for each blob that is missing', async ({ expect }) => {
    const { bytes } = await imageIn(NAME);
    const known = JSON.parse(new TextDecoder().decode(bytes)) as {
      config: object;
      layers: object[];
    };
    const image = await manifestOf(TYPE, {
      ...known,
      layers: [...known.layers, layer(digestAt(1)), layer(digestAt(2)), layer(digestAt(1))],
    });
    for (const reference of ['v1', image.digest]) {
      const answer = await putManifest(NAME, image, reference);
      expect(answer.status).toBe(400);
      expect(errorsOf(answer)).toEqual(
        [digestAt(1), digestAt(2)].map((digest) => ({
          code: 'MANIFEST_BLOB_UNKNOWN',
          message: 'the repository does not have this content',
          detail: { digest },
        })),
      );
    }
    const elsewhere = await putManifest('acme/other', { ...image, bytes, mediaType: TYPE }, 'v1');
    expect(refusal(elsewhere)).toBe('400 MANIFEST_BLOB_UNKNOWN MANIFEST_BLOB_UNKNOWN');
  });

  it('with MANIFEST_BLOB_UNKNOWN for a child that is missing', async ({ expect }) => {
    const present = await pushImage(NAME, 'present');
    const absent = await imageIn(NAME);
    const index = await indexOf([present, absent]);
    const answer = await putManifest(NAME, index, 'v1');
    expect([answer.status, errorsOf(answer).map(({ detail }) => detail)]).toEqual([
      400,
      [{ digest: absent.digest }],
    ]);
    await putManifest(NAME, absent);
    expect((await putManifest(NAME, index, 'v1')).status).toBe(201);
  });

  it('with 400 where it says another size or type of a child', async ({ expect }) => {
    const child = await pushImage(NAME, 'child');
    const { ociIndex, dockerManifest } = MANIFEST_MEDIA_TYPES;
    for (const lie of [{ size: 1 }, { mediaType: dockerManifest }]) {
      const index = await manifestOf(ociIndex, {
        schemaVersion: 2,
        manifests: [{ ...descriptorOf(child), ...lie }],
      });
      expect(refusal(await putManifest(NAME, index, 'v1'))).toBe('400 MANIFEST_INVALID');
    }
  });

  it('with TAG_INVALID for a name that no tag can have', async ({ expect }) => {
    const image = await imageIn(NAME);
    for (const tag of ['.x', '-x', 'a'.repeat(129), 'a%20b', 'a%2Fb', 'ä', 'a@b', '%00', 'a+b']) {
      const answer = await putManifest(NAME, image, tag);
      expect(answer.status).toBe(400);
      expect([tag, errorsOf(answer).map(({ code, detail }) => ({ code, detail }))]).toEqual([
        tag,
        [{ code: 'MANIFEST_INVALID', detail: { reason: 'TAG_INVALID' } }],
      ]);
      expect(refusal(await send('GET', `/v2/${NAME}/manifests/${tag}`))).toMatch(
        /^404 (?:MANIFEST|NAME)_UNKNOWN$/,
      );
    }
    for (const tag of ['_x', '0', 'A.b-C_9', 'a'.repeat(128), 'sha256-abc', 'list', 'uploads']) {
      expect([tag, (await putManifest(NAME, image, tag)).status]).toEqual([tag, 201]);
    }
  });
});
