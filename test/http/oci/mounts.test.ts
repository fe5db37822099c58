import { describe, it } from 'vitest';

import { uniqueBytes } from '../../support/content.ts';
import { pick, send, uploadBlob } from '../../support/http.ts';

const SOURCE = 'acme/source';
const ABSENT = `sha256:${'0'.repeat(64)}`;

const mount = (query: string, name = 'acme/target') =>
  send('POST', `/v2/${name}/blobs/uploads/${query}`);

describe('a mount', () => {
  it('is 201 and the blob can be pulled, also into a repository that is new', async ({
    expect,
  }) => {
    const bytes = uniqueBytes();
    const digest = await uploadBlob(SOURCE, bytes);
    for (const name of ['acme/target', 'other/new/one', 'library-of-one', SOURCE]) {
      const mounted = await mount(`?mount=${digest}&from=${SOURCE}`, name);
      expect([mounted.status, mounted.text]).toEqual([201, '']);
      const location = `/v2/${name}/blobs/${digest}`;
      expect(pick(mounted, 'location', 'docker-content-digest', 'docker-upload-uuid')).toEqual({
        location,
        'docker-content-digest': digest,
      });
      expect((await send('GET', location)).bytes).toEqual(bytes);
    }
  });

  it('of a sha512 blob is 201 under that digest', async ({ expect }) => {
    const digest = await uploadBlob(SOURCE, uniqueBytes(), 'sha512');
    expect((await mount(`?mount=${digest}&from=${SOURCE}`)).status).toBe(201);
    expect((await send('HEAD', `/v2/acme/target/blobs/${digest}`)).status).toBe(200);
  });

  it('from a library repository takes either form of its name', async ({ expect }) => {
    const digest = await uploadBlob('alpine');
    for (const from of ['alpine', 'library/alpine', 'library%2Falpine']) {
      expect((await mount(`?mount=${digest}&from=${from}`)).status).toBe(201);
    }
  });

  it('that is not possible is 202 with a session, never an error', async ({ expect }) => {
    const digest = await uploadBlob(SOURCE);
    for (const query of [
      `?mount=${ABSENT}&from=${SOURCE}`,
      `?mount=${digest}&from=acme/unknown`,
      `?mount=${digest}&from=unknown/unknown`,
      `?mount=${digest}&from=`,
      `?mount=${digest}&from=NOT%20A%20NAME`,
      `?mount=${digest}&from=../..`,
      `?mount=${digest}&from=${'x'.repeat(300)}`,
      `?mount=${ABSENT}&from=${SOURCE}&digest=${digest}`,
      `?from=${SOURCE}`,
    ]) {
      const started = await mount(query);
      expect([query, started.status]).toEqual([query, 202]);
      const session = started.headers.get('Location') ?? '';
      expect(session).toMatch(/^\/v2\/acme\/target\/blobs\/uploads\/[0-9a-f-]{36}$/);
      expect((await send('GET', session)).status).toBe(204);
    }
  });
});
