import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { pushImage, send } from '../../support/http.ts';

const NAME = 'acme/app';
const HOUR_MS = 3_600_000;

/** An image under a tag that ends so many milliseconds from now, and when that is. */
async function anEndingTag(tagName: string, inMs: number) {
  const image = await pushImage(NAME, tagName);
  const endMs = Date.now() + inMs;
  await env.DB.prepare('UPDATE tag SET lifetime_end_ms = ? WHERE name = ?')
    .bind(endMs, tagName)
    .run();
  return { image, end: new Date(endMs).toISOString() };
}

describe('the warning that a tag ends', () => {
  it('stands on GET, HEAD and 304 of the tag, and says when', async ({ expect }) => {
    const { image, end } = await anEndingTag('nightly', 71 * HOUR_MS);
    const path = `/v2/${NAME}/manifests/nightly`;
    const unchanged = { headers: { 'If-None-Match': `"${image.digest}"` } };
    for (const [status, answer] of [
      [200, await send('GET', path)],
      [200, await send('HEAD', path)],
      [304, await send('GET', path, unchanged)],
      [304, await send('HEAD', path, unchanged)],
    ] as const) {
      expect([status, answer.headers.get('Warning')]).toEqual([
        answer.status,
        `299 - "tag 'nightly' ends at ${end}"`,
      ]);
    }
  });

  it('is not given by digest, nor for a tag that stays', async ({ expect }) => {
    const { image } = await anEndingTag('nightly', HOUR_MS);
    await anEndingTag('weekly', 73 * HOUR_MS);
    await pushImage(NAME, 'v1');
    for (const reference of [image.digest, 'weekly', 'v1']) {
      const answer = await send('GET', `/v2/${NAME}/manifests/${reference}`);
      expect([reference, answer.status, answer.headers.has('Warning')]).toEqual([
        reference,
        200,
        false,
      ]);
    }
  });
});
