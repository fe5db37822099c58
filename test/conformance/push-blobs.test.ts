import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { uniqueBytes } from '../support/content.ts';
import { pushImage, refusal, send, uploadBlob } from '../support/http.ts';

const UPLOADS = '/v2/acme/target/blobs/uploads/';

describe('digest-algorithm', () => {
  it('is taken for what can be computed, and 400 for the rest', async ({ expect }) => {
    for (const algorithm of ['sha256', 'sha512']) {
      const started = await send('POST', `${UPLOADS}?digest-algorithm=${algorithm}`);
      expect([algorithm, started.status]).toEqual([algorithm, 202]);
    }
    for (const algorithm of ['md5', 'SHA256', 'sha384', '']) {
      const refused = await send('POST', `${UPLOADS}?digest-algorithm=${algorithm}`);
      expect([algorithm, refusal(refused)]).toEqual([algorithm, '400 DIGEST_INVALID']);
    }
  });
});

describe('a mount without a source', () => {
  it('takes a blob from wherever it is, linked or just uploaded', async ({ expect }) => {
    const image = await pushImage('acme/source', 'v1');
    const content = JSON.parse(new TextDecoder().decode(image.bytes)) as {
      layers: readonly { digest: string }[];
    };
    await env.DB.prepare('DELETE FROM uploaded_blob').run();
    const bytes = uniqueBytes();
    const uploaded = await uploadBlob('acme/source', bytes);
    for (const digest of [content.layers[0]?.digest ?? '', uploaded]) {
      const mounted = await send('POST', `${UPLOADS}?mount=${digest}`);
      expect([mounted.status, mounted.headers.get('Docker-Content-Digest')]).toEqual([201, digest]);
    }
    expect((await send('GET', `/v2/acme/target/blobs/${uploaded}`)).bytes).toEqual(bytes);
  });

  it('is 202 where no living repository has the blob', async ({ expect }) => {
    const digest = await uploadBlob('acme/source');
    const absent = `sha256:${'0'.repeat(64)}`;
    expect((await send('POST', `${UPLOADS}?mount=${absent}`)).status).toBe(202);
    await env.DB.prepare("UPDATE repository SET state = 3 WHERE name = 'source'").run();
    expect((await send('POST', `${UPLOADS}?mount=${digest}`)).status).toBe(202);
  });
});
