import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  bucketCost,
  descriptorOf,
  errorsOf,
  imageIn,
  indexOf,
  locationOf,
  manifestOf,
  pick,
  pushImage,
  putManifest,
  refusal,
  type SentManifest,
  send,
  uploadBlob,
} from '../../support/http.ts';

const NAME = 'acme/app';
const HEADERS = [
  'content-type',
  'content-length',
  'content-encoding',
  'docker-content-digest',
  'etag',
  'cache-control',
];

/** What GET and HEAD say of a manifest. */
function headersOf({ mediaType, bytes, digest }: SentManifest): Record<string, string> {
  return {
    'content-type': mediaType,
    'content-length': String(bytes.byteLength),
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'cache-control': 'no-transform',
  };
}

async function aDockerImage(): Promise<SentManifest> {
  const { dockerManifest } = MANIFEST_MEDIA_TYPES;
  const [config, layer] = [
    encodeUtf8(
      '{"architecture":"amd64","os":"linux","history":[{}],"rootfs":{"type":"layers","diff_ids":[]}}',
    ),
    uniqueBytes(),
  ];
  return manifestOf(dockerManifest, {
    schemaVersion: 2,
    mediaType: dockerManifest,
    config: {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      size: config.byteLength,
      digest: await uploadBlob(NAME, config),
    },
    layers: [
      {
        mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
        size: layer.byteLength,
        digest: await uploadBlob(NAME, layer),
      },
    ],
  });
}

/** One of each type that is stored; the lists name the images. */
async function oneOfEach(): Promise<readonly SentManifest[]> {
  const ociImage = await imageIn(NAME);
  const dockerImage = await aDockerImage();
  const { dockerList } = MANIFEST_MEDIA_TYPES;
  return [
    ociImage,
    dockerImage,
    await indexOf([ociImage, dockerImage]),
    await manifestOf(dockerList, {
      schemaVersion: 2,
      mediaType: dockerList,
      manifests: [
        { ...descriptorOf(dockerImage), platform: { architecture: 'amd64', os: 'linux' } },
      ],
    }),
  ];
}

describe('PUT of a manifest', () => {
  it('takes every stored type, by tag and by digest, and says where it is', async ({ expect }) => {
    const manifests = await oneOfEach();
    for (const [index, manifest] of manifests.entries()) {
      for (const reference of [manifest.digest, `tag-${index}`]) {
        const put = await putManifest(NAME, manifest, reference);
        expect([manifest.mediaType, put.status, put.text]).toEqual([manifest.mediaType, 201, '']);
        expect(pick(put, 'location', 'docker-content-digest', 'oci-subject')).toEqual({
          location: `/v2/${NAME}/manifests/${manifest.digest}`,
          'docker-content-digest': manifest.digest,
        });
        const pulled = await send('GET', locationOf(put));
        expect([pulled.status, pulled.text]).toEqual([
          200,
          new TextDecoder().decode(manifest.bytes),
        ]);
        expect(pick(pulled, ...HEADERS)).toEqual(headersOf(manifest));
      }
    }
  });

  it('by a sha512 digest stores it under that digest', async ({ expect }) => {
    const { bytes, mediaType } = await imageIn(NAME);
    const digest = await computeDigest('sha512', bytes);
    const put = await putManifest(NAME, { bytes, mediaType, digest });
    expect(put.status).toBe(201);
    expect(put.headers.get('Docker-Content-Digest')).toBe(digest);
    const pulled = await send('GET', locationOf(put));
    expect(pulled.bytes).toEqual(bytes);
    expect(pulled.headers.get('Docker-Content-Digest')).toBe(digest);
    const byOther = `/v2/${NAME}/manifests/${await computeDigest('sha256', bytes)}`;
    expect(refusal(await send('GET', byOther))).toBe('404 MANIFEST_UNKNOWN');
  });

  it('moves a tag, and keeps what it pointed to', async ({ expect }) => {
    const first = await pushImage(NAME, 'latest');
    const second = await pushImage(NAME, 'latest');
    const pulled = await send('GET', `/v2/${NAME}/manifests/latest`);
    expect(pulled.headers.get('Docker-Content-Digest')).toBe(second.digest);
    expect(first.digest).not.toBe(second.digest);
  });

  it('names the subject, whether or not that is there', async ({ expect }) => {
    const subject = await imageIn(NAME);
    const artifact = await imageIn(NAME, { subject: descriptorOf(subject) });
    for (const reference of ['signature', artifact.digest]) {
      const put = await putManifest(NAME, artifact, reference);
      expect(put.status).toBe(201);
      expect(put.headers.get('OCI-Subject')).toBe(subject.digest);
    }
    await putManifest(NAME, subject, 'v1');
    const index = await indexOf([subject], { subject: descriptorOf(subject) });
    const put = await putManifest(NAME, index, 'index');
    expect(put.headers.get('OCI-Subject')).toBe(subject.digest);
  });

  it('takes the type from the body where the header names none', async ({ expect }) => {
    const image = await imageIn(NAME);
    const { ociManifest } = MANIFEST_MEDIA_TYPES;
    for (const [index, type] of [
      ociManifest,
      `${ociManifest}; charset=utf-8`,
      'application/vnd.OCI.image.manifest.v1+json',
      'application/json',
    ].entries()) {
      const put = await putManifest(NAME, { ...image, mediaType: type }, `t${index}`);
      expect([type, put.status]).toEqual([type, 201]);
      const pulled = await send('GET', `/v2/${NAME}/manifests/t${index}`);
      expect(pulled.headers.get('Content-Type')).toBe(ociManifest);
    }
  });

  it('takes one whose own mediaType is left out, by its header', async ({ expect }) => {
    const { bytes } = await imageIn(NAME);
    const { mediaType, ...content } = JSON.parse(new TextDecoder().decode(bytes)) as {
      mediaType: string;
    };
    const image = await manifestOf(mediaType, content);
    expect((await putManifest(NAME, image, 'v1')).status).toBe(201);
    const pulled = await send('GET', `/v2/${NAME}/manifests/v1`);
    expect(pulled.headers.get('Content-Type')).toBe(mediaType);
  });

  it('takes 3.9 MB, and gives the same bytes back', async ({ expect }) => {
    const annotations = Object.fromEntries(
      Array.from({ length: 390 }, (_, index) => [`key-${index}`, 'x'.repeat(10_000)]),
    );
    const image = await pushImage(NAME, 'large', { annotations });
    const get = await send('GET', `/v2/${NAME}/manifests/large`);
    expect(await computeDigest('sha256', get.bytes)).toBe(image.digest);
    expect(pick(get, ...HEADERS)).toEqual(headersOf(image));
    expect(bucketCost(get)).toBe('1 read, 0 written');
    const head = await send('HEAD', `/v2/${NAME}/manifests/large`);
    expect(pick(head, ...HEADERS)).toEqual(headersOf(image));
    expect(bucketCost(head)).toBe('0 read, 0 written');
  });
});

describe('GET and HEAD of a manifest', () => {
  it('answer alike by tag and by digest, whatever Accept says', async ({ expect }) => {
    const image = await imageIn(NAME);
    await putManifest(NAME, image);
    const index = await indexOf([image]);
    await putManifest(NAME, index, 'v1');
    for (const reference of ['v1', index.digest]) {
      for (const accept of ['*/*', MANIFEST_MEDIA_TYPES.ociManifest, 'text/html', '']) {
        const path = `/v2/${NAME}/manifests/${reference}`;
        const get = await send('GET', path, { headers: { Accept: accept } });
        expect([get.status, get.bytes]).toEqual([200, index.bytes]);
        expect(pick(get, ...HEADERS)).toEqual(headersOf(index));
        const head = await send('HEAD', path, { headers: { Accept: accept } });
        expect([head.status, head.text]).toEqual([200, '']);
        expect(pick(head, ...HEADERS)).toEqual(headersOf(index));
        expect(bucketCost(head)).toBe('0 read, 0 written');
      }
    }
  });

  it('leave the bytes unencoded for clients that would take gzip', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    const headers = { 'Accept-Encoding': 'gzip, br' };
    const get = await send('GET', `/v2/${NAME}/manifests/v1`, { headers });
    expect(pick(get, ...HEADERS)).toEqual(headersOf(image));
  });

  it('give a child through its index, and one pushed by digest alone', async ({ expect }) => {
    const [child, alone] = [await imageIn(NAME), await imageIn(NAME)];
    await putManifest(NAME, child);
    await putManifest(NAME, alone);
    await putManifest(NAME, await indexOf([child]), 'v1');
    for (const { digest, bytes } of [child, alone]) {
      expect((await send('GET', `/v2/${NAME}/manifests/${digest}`)).bytes).toEqual(bytes);
    }
  });

  it('tell what is missing', async ({ expect }) => {
    const absent = `sha256:${'0'.repeat(64)}`;
    const missing = await send('GET', `/v2/${NAME}/manifests/v1`);
    expect([missing.status, errorsOf(missing)]).toEqual([
      404,
      [{ code: 'NAME_UNKNOWN', message: `repository '${NAME}' not found` }],
    ]);
    await pushImage(NAME, 'v1');
    const tag = await send('GET', `/v2/${NAME}/manifests/v2`);
    expect([tag.status, errorsOf(tag)]).toEqual([
      404,
      [{ code: 'MANIFEST_UNKNOWN', message: "tag 'v2' not found" }],
    ]);
    const digest = await send('GET', `/v2/${NAME}/manifests/${absent}`);
    expect([digest.status, errorsOf(digest)]).toEqual([
      404,
      [{ code: 'MANIFEST_UNKNOWN', message: `manifest ${absent} not found` }],
    ]);
    for (const reference of ['v2', absent, '.x', 'a'.repeat(129)]) {
      const head = await send('HEAD', `/v2/${NAME}/manifests/${reference}`);
      expect([reference, head.status, head.text]).toEqual([reference, 404, '']);
    }
  });

  it('tell an expired or deleted tag from one that never was', async ({ expect }) => {
    await pushImage(NAME, 'expired');
    await pushImage(NAME, 'deleted');
    const past = Date.now() - 1000;
    await env.DB.prepare(
      `UPDATE tag SET lifetime_start_ms = ?1 - 1000, lifetime_end_ms = ?1 WHERE name = 'expired'`,
    )
      .bind(past)
      .run();
    await send('DELETE', `/v2/${NAME}/manifests/deleted`);
    for (const tag of ['expired', 'deleted']) {
      const answer = await send('GET', `/v2/${NAME}/manifests/${tag}`);
      expect(answer.status).toBe(404);
      expect(errorsOf(answer)).toEqual([
        {
          code: 'MANIFEST_UNKNOWN',
          message:
            `tag '${tag}' was deleted or has expired; ` +
            'it may be restored while its repository keeps it',
          detail: { reason: 'TAG_EXPIRED' },
        },
      ]);
      expect((await send('HEAD', `/v2/${NAME}/manifests/${tag}`)).status).toBe(404);
    }
  });

  it('give nothing by the digest of what only dead tags hold', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    await send('DELETE', `/v2/${NAME}/manifests/v1`);
    const answer = await send('GET', `/v2/${NAME}/manifests/${image.digest}`);
    expect(refusal(answer)).toBe('404 MANIFEST_UNKNOWN');
  });
});
