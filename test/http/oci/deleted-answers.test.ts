import { describe, it } from 'vitest';

import { SECOND_MS, TestClock } from '../../support/clock.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  aName,
  imageIn,
  indexOf,
  pushImage,
  putManifest,
  type send,
  uploadBlob,
} from '../../support/http.ts';
import { isolateBeside } from '../../support/isolate.ts';
import { openLocation, stayIn } from '../../support/location.ts';
import { execute } from '../../support/stage.ts';

let worlds = 0;

/** One for both places and all tests: what it remembers is none of what it answers. */
let isolate: Awaited<ReturnType<typeof isolateBeside>> | undefined;

/** Two locations of one registry. What both were asked for, both have kept. */
async function twoLocations() {
  worlds += 1;
  const clock = new TestClock();
  const here = await openLocation(`here-${worlds}`, clock);
  const there = await openLocation(`there-${worlds}`, clock);
  isolate ??= await isolateBeside({ ANSWER_TTL_SEC: '60' });
  const ask = isolate;
  const at =
    (location: typeof here) =>
    (...parameters: Parameters<typeof send>) => {
      stayIn(location);
      return ask(...parameters);
    };
  const places = { here: at(here), there: at(there) };
  /** What both places answer to these paths, place by place. */
  const statuses = async (...paths: readonly string[]) => {
    const found: Record<string, number[]> = { here: [], there: [] };
    for (const [place, askThere] of Object.entries(places)) {
      for (const path of paths) {
        found[place]?.push((await askThere('GET', path)).status);
      }
    }
    return found;
  };
  return { ...places, statuses, pass: (seconds: number) => clock.advance(seconds * SECOND_MS) };
}

/** How each way of deleting looks: the paths by digest and by name, and the deletion. */
const DELETIONS: Readonly<
  Record<
    string,
    (name: string) => Promise<{
      readonly byDigest: string;
      readonly byName: readonly string[];
      readonly deletion: readonly [method: string, path: string];
    }>
  >
> = {
  async 'a tag'(name) {
    const { digest } = await pushImage(name, 'v1');
    const path = `/v2/${name}/manifests/v1`;
    return {
      byDigest: `/v2/${name}/manifests/${digest}`,
      byName: [path],
      deletion: ['DELETE', path],
    };
  },
  async 'a tag, by the management API'(name) {
    const { digest } = await pushImage(name, 'v1');
    return {
      byDigest: `/v2/${name}/manifests/${digest}`,
      byName: [`/v2/${name}/manifests/v1`],
      deletion: ['DELETE', `/api/v1/repository/${name}/tag/v1`],
    };
  },
  async 'a manifest with two tags'(name) {
    const image = await pushImage(name, 'v1');
    await putManifest(name, image, 'v2');
    const path = `/v2/${name}/manifests/${image.digest}`;
    return {
      byDigest: path,
      byName: [`/v2/${name}/manifests/v1`, `/v2/${name}/manifests/v2`],
      deletion: ['DELETE', path],
    };
  },
  async 'a blob'(name) {
    const path = `/v2/${name}/blobs/${await uploadBlob(name)}`;
    return { byDigest: path, byName: [], deletion: ['DELETE', path] };
  },
  async 'a blob that is too large to be kept'(name) {
    const path = `/v2/${name}/blobs/${await uploadBlob(name, uniqueBytes(2 ** 20 + 1))}`;
    return { byDigest: path, byName: [], deletion: ['DELETE', path] };
  },
};

describe('1.7: what was deleted', () => {
  it.for(Object.entries(DELETIONS))(
    '%s: is gone here at once, elsewhere by name, and by digest within a minute',
    async ([, prepare], { expect }) => {
      const { byDigest, byName, deletion } = await prepare(aName());
      const { here, statuses, pass } = await twoLocations();
      const all = (status: number) => byName.map(() => status);
      await statuses(byDigest, ...byName);
      pass(1);
      expect((await here(...deletion)).status).toBeLessThan(300);
      expect(await statuses(byDigest, ...byName)).toEqual({
        here: [404, ...all(404)],
        there: [200, ...all(404)],
      });
      pass(58);
      expect(await statuses(byDigest)).toEqual({ here: [404], there: [200] });
      pass(1);
      expect(await statuses(byDigest)).toEqual({ here: [404], there: [404] });
    },
  );

  it('is there again at once everywhere when it is pushed again', async ({ expect }) => {
    const name = aName();
    const image = await pushImage(name, 'v1');
    const paths = [`/v2/${name}/manifests/${image.digest}`, `/v2/${name}/manifests/v1`];
    const { here, statuses, pass } = await twoLocations();
    await here('DELETE', paths[0] ?? '');
    pass(60);
    expect(await statuses(...paths)).toEqual({ here: [404, 404], there: [404, 404] });
    await putManifest(name, image, 'v1');
    expect(await statuses(...paths)).toEqual({ here: [200, 200], there: [200, 200] });
  });

  it('as an index ends its children within a minute, here too', async ({ expect }) => {
    const name = aName();
    const child = await imageIn(name);
    const put = await putManifest(name, child);
    expect(put.status).toBe(201);
    const index = await indexOf([child]);
    await putManifest(name, index, 'v1');
    // What was pushed by digest is held for a while by itself; here the index alone holds it.
    await execute('UPDATE tag SET lifetime_end_ms = 1 WHERE hidden = 1');
    const [parent, part] = [index, child].map(({ digest }) => `/v2/${name}/manifests/${digest}`);
    const { here, statuses, pass } = await twoLocations();
    const both = [parent ?? '', part ?? ''];
    expect(await statuses(...both)).toEqual({ here: [200, 200], there: [200, 200] });
    expect((await here('DELETE', parent ?? '')).status).toBe(202);
    expect(await statuses(...both)).toEqual({ here: [404, 200], there: [200, 200] });
    pass(60);
    expect(await statuses(...both)).toEqual({ here: [404, 404], there: [404, 404] });
  });
});

describe('1.7: a tag that was moved', () => {
  it('points to its new manifest everywhere at once, however it is asked', async ({ expect }) => {
    const name = aName();
    const before = await pushImage(name, 'v1');
    const { here, there } = await twoLocations();
    const path = `/v2/${name}/manifests/v1`;
    const old = `/v2/${name}/manifests/${before.digest}`;
    for (const ask of [here, there]) {
      await ask('GET', path);
      await ask('GET', old);
    }
    const after = await imageIn(name);
    const headers = { 'Content-Type': after.mediaType };
    expect((await here('PUT', path, { headers, body: after.bytes })).status).toBe(201);
    for (const ask of [here, there]) {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers: told } = await ask(method, path);
        expect([status, told.get('Docker-Content-Digest')]).toEqual([200, after.digest]);
        const unchanged = await ask(method, path, {
          headers: { 'If-None-Match': `"${before.digest}"` },
        });
        expect(unchanged.status).toBe(200);
      }
    }
  });
});
