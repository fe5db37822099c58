import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import {
  errorsOf,
  imageIn,
  indexOf,
  pushImage,
  putManifest,
  refusal,
  send,
} from '../../support/http.ts';

const NAME = 'acme/app';
const pathOf = (reference: string): string => `/v2/${NAME}/manifests/${reference}`;

async function lock(tagName: string): Promise<void> {
  await env.DB.prepare('UPDATE tag SET immutable = 1 WHERE name = ?').bind(tagName).run();
}

describe('DELETE of a tag', () => {
  it('is 202 and takes that tag only; again it is 404', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    await putManifest(NAME, image, 'v2');
    const deleted = await send('DELETE', pathOf('v1'));
    expect([deleted.status, deleted.text, deleted.headers.get('Warning')]).toEqual([202, '', null]);
    expect((await send('HEAD', pathOf('v1'))).status).toBe(404);
    expect((await send('HEAD', pathOf('v2'))).status).toBe(200);
    expect((await send('HEAD', pathOf(image.digest))).status).toBe(200);
    expect(refusal(await send('DELETE', pathOf('v1')))).toBe('404 MANIFEST_UNKNOWN');
  });

  it('lets the tag be pushed again at once', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    for (let count = 0; count < 3; count += 1) {
      expect((await send('DELETE', pathOf('v1'))).status).toBe(202);
      expect((await send('HEAD', pathOf('v1'))).status).toBe(404);
      expect((await putManifest(NAME, image, 'v1')).status).toBe(201);
      expect((await send('HEAD', pathOf('v1'))).status).toBe(200);
    }
  });

  it('of what is not there is 404 with the code of what is missing', async ({ expect }) => {
    expect(refusal(await send('DELETE', pathOf('v1')))).toBe('404 NAME_UNKNOWN');
    await pushImage(NAME, 'v1');
    expect(refusal(await send('DELETE', pathOf('v2')))).toBe('404 MANIFEST_UNKNOWN');
    expect(refusal(await send('DELETE', pathOf('-x')))).toBe('404 MANIFEST_UNKNOWN');
    expect(refusal(await send('DELETE', pathOf('sha256:abc')))).toBe('400 DIGEST_INVALID');
  });
});

describe('DELETE by digest', () => {
  it('is 202 and takes every tag of the manifest; again it is 404', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    await putManifest(NAME, image, 'v2');
    await pushImage(NAME, 'other');
    const deleted = await send('DELETE', pathOf(image.digest));
    expect([deleted.status, deleted.text, deleted.headers.get('Warning')]).toEqual([202, '', null]);
    for (const reference of ['v1', 'v2', image.digest]) {
      expect([reference, (await send('HEAD', pathOf(reference))).status]).toEqual([reference, 404]);
    }
    expect((await send('HEAD', pathOf('other'))).status).toBe(200);
    expect(refusal(await send('DELETE', pathOf(image.digest)))).toBe('404 MANIFEST_UNKNOWN');
  });

  it('takes what was pushed by digest alone', async ({ expect }) => {
    const image = await imageIn(NAME);
    await putManifest(NAME, image);
    expect((await send('DELETE', pathOf(image.digest))).status).toBe(202);
    expect((await send('GET', pathOf(image.digest))).status).toBe(404);
  });

  it('of a tagged child takes its tags, and warns that an index holds it', async ({ expect }) => {
    const child = await pushImage(NAME, 'child');
    await putManifest(NAME, await indexOf([child]), 'index');
    const deleted = await send('DELETE', pathOf(child.digest));
    expect(deleted.status).toBe(202);
    expect(deleted.headers.get('Warning')).toBe(
      '299 - "the tags are gone, but an index holds the manifest: ' +
        'it can still be pulled by digest"',
    );
    expect((await send('HEAD', pathOf('child'))).status).toBe(404);
    expect((await send('GET', pathOf(child.digest))).bytes).toEqual(child.bytes);
  });

  it('of an untagged child of a living index is 405 MANIFEST_IN_USE', async ({ expect }) => {
    const child = await pushImage(NAME, 'child');
    const index = await indexOf([child]);
    await putManifest(NAME, index, 'index');
    await send('DELETE', pathOf(child.digest));
    const refused = await send('DELETE', pathOf(child.digest));
    expect(refused.status).toBe(405);
    expect(errorsOf(refused)).toEqual([
      {
        code: 'DENIED',
        message: 'an index holds the manifest; delete the index first',
        detail: { reason: 'MANIFEST_IN_USE' },
      },
    ]);
    expect((await send('DELETE', pathOf(index.digest))).status).toBe(202);
    expect(refusal(await send('DELETE', pathOf(child.digest)))).toBe('404 MANIFEST_UNKNOWN');
  });

  it('deletes parents before children, as clients do', async ({ expect }) => {
    const child = await imageIn(NAME);
    await putManifest(NAME, child);
    const index = await indexOf([child]);
    await putManifest(NAME, index, 'index');
    for (const { digest } of [index, child]) {
      expect((await send('DELETE', pathOf(digest))).status).toBe(202);
      expect((await send('HEAD', pathOf(digest))).status).toBe(404);
    }
  });
});

describe('an immutable tag', () => {
  it('refuses to be moved or deleted, by name and by digest, with 409', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    const other = await pushImage(NAME, 'other');
    await putManifest(NAME, image, 'free');
    await lock('v1');
    const refused = async (operation: string, answer: ReturnType<typeof send>) => {
      const { status, text } = await answer;
      expect([status, errorsOf({ text })]).toEqual([
        409,
        [
          {
            code: 'DENIED',
            message: `Cannot ${operation} immutable tag 'v1'`,
            detail: { reason: 'TAG_IMMUTABLE', tag: 'v1' },
          },
        ],
      ]);
    };
    await refused('overwrite', putManifest(NAME, other, 'v1'));
    await refused('overwrite', putManifest(NAME, await imageIn(NAME), 'v1'));
    await refused('delete', send('DELETE', pathOf('v1')));
    await refused('delete', send('DELETE', pathOf(image.digest)));
    for (const tag of ['v1', 'free']) {
      const pulled = await send('GET', pathOf(tag));
      expect(pulled.headers.get('Docker-Content-Digest')).toBe(image.digest);
    }
  });
});

describe('a read-only repository', () => {
  it('refuses every write with 403 READ_ONLY, and is read as ever', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    await env.DB.prepare('UPDATE repository SET state = 1').run();
    const { layers } = JSON.parse(new TextDecoder().decode(image.bytes)) as {
      layers: [{ digest: string }];
    };
    const blob = layers[0].digest;
    const uploads = `/v2/${NAME}/blobs/uploads/`;
    const writes = [
      await putManifest(NAME, image, 'v2'),
      await putManifest(NAME, image),
      await send('DELETE', pathOf('v1')),
      await send('DELETE', pathOf(image.digest)),
      await send('DELETE', `/v2/${NAME}/blobs/${blob}`),
      await send('POST', uploads),
      await send('POST', `${uploads}?digest=${blob}`, { body: 'x' }),
      await send('POST', `${uploads}?mount=${blob}&from=${NAME}`),
    ];
    for (const [index, { status, text }] of writes.entries()) {
      expect([index, status, errorsOf({ text })]).toEqual([
        index,
        403,
        [
          {
            code: 'DENIED',
            message: `repository '${NAME}' takes no pushes`,
            detail: { reason: 'READ_ONLY' },
          },
        ],
      ]);
    }
    expect((await send('GET', pathOf('v1'))).status).toBe(200);
  });
});
