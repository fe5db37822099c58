import { describe, it } from 'vitest';

import { URL_LENGTH_MAX } from '../../src/model/limits.ts';
import { aName, pushImage, refusal, send } from '../support/http.ts';

describe('the bounds of a request', () => {
  it('refuse a URL that is too long or has too many parameters with 414', async ({ expect }) => {
    const long = `?x=${'a'.repeat(URL_LENGTH_MAX)}`;
    const many = `?${'a=1&'.repeat(129)}`;
    for (const query of [long, many]) {
      expect(refusal(await send('GET', `/v2/${query}`))).toBe('414 SIZE_INVALID');
      const managed = await send('GET', `/api/v1/superuser/logs${query}`);
      expect([managed.status, JSON.parse(managed.text)]).toMatchObject([
        414,
        { error_type: 'uri_too_long' },
      ]);
    }
    const within = `?${'n=1&'.repeat(100)}`;
    expect((await send('GET', `/v2/_catalog${within}`)).status).toBe(200);
  });

  it('refuse a body of the management API above 1 MiB with 413, announced or not', async ({
    expect,
  }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const path = `/api/v1/repository/${name}/garbage/collect`;
    const post = (size: number, isStreamed: boolean) => {
      const bytes = new Uint8Array(size).fill(32);
      const body = isStreamed ? new Blob([bytes]).stream() : bytes;
      return send('POST', path, { body });
    };
    for (const isStreamed of [false, true]) {
      const { status, text } = await post(1024 * 1024 + 1, isStreamed);
      expect([status, JSON.parse(text)]).toMatchObject([413, { error_type: 'payload_too_large' }]);
      expect((await post(1024 * 1024, isStreamed)).status).toBe(200);
    }
  });
});
