import { describe, it } from 'vitest';

import { descriptorOf, imageIn, pushImage, putManifest, send } from '../support/http.ts';

const NAME = 'acme/app';

describe('the deletion of a subject', () => {
  it('leaves its referrers, which are listed on', async ({ expect }) => {
    const subject = await pushImage(NAME, 'v1');
    const referrer = await imageIn(NAME, { subject: descriptorOf(subject) });
    await putManifest(NAME, referrer);
    expect((await send('DELETE', `/v2/${NAME}/manifests/${subject.digest}`)).status).toBe(202);
    const list = await send('GET', `/v2/${NAME}/referrers/${subject.digest}`);
    expect(list.text).toContain(referrer.digest);
    expect((await send('HEAD', `/v2/${NAME}/manifests/${referrer.digest}`)).status).toBe(200);
  });
});

describe('the deletion of one tag of many that one push set', () => {
  it('leaves the others and the manifest; the last takes it', async ({ expect }) => {
    const image = await imageIn(NAME);
    await putManifest(NAME, image, `${image.digest}?tag=a&tag=b`);
    const head = (reference: string) => send('HEAD', `/v2/${NAME}/manifests/${reference}`);
    for (const [tagName, status] of [
      ['a', 200],
      ['b', 404],
    ] as const) {
      expect((await send('DELETE', `/v2/${NAME}/manifests/${tagName}`)).status).toBe(202);
      expect((await head(tagName)).status).toBe(404);
      expect((await head(image.digest)).status).toBe(status);
    }
  });
});
