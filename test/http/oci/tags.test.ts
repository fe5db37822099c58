import { beforeEach, describe, it } from 'vitest';

import { aName, pick, pushImage, putManifest, refusal, send } from '../../support/http.ts';

let name: string;
let list: string;
beforeEach(() => {
  name = aName();
  list = `/v2/${name}/tags/list`;
});

/** Byte order: digits, upper case, underscore, lower case. */
const TAGS = ['1.0', '10', '2', 'B', '_x', 'a', 'a-b', 'a.b', 'b'];

async function pushTags(names: readonly string[] = TAGS): Promise<void> {
  const [first = 'latest', ...others] = names;
  const image = await pushImage(name, first);
  for (const tag of others) {
    await putManifest(name, image, tag);
  }
}

async function page(query: string): Promise<{ tags: readonly string[]; link: string | null }> {
  const answer = await send('GET', `${list}${query}`);
  const body = JSON.parse(answer.text) as { name: string; tags: string[] };
  const { tags, ...rest } = body;
  if (answer.status !== 200 || body.name !== name || Object.keys(rest).length !== 1) {
    throw new Error(`not a page: ${answer.status} ${answer.text}`);
  }
  return { tags, link: answer.headers.get('Link') };
}

async function after(last: string): Promise<readonly string[]> {
  return (await page(`?last=${last}`)).tags;
}

describe('the list of tags', () => {
  it('is the exact JSON of the name as asked and the tags in byte order', async ({ expect }) => {
    await pushTags(['b', 'a', 'B']);
    const answer = await send('GET', list);
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(`{"name":"${name}","tags":["B","a","b"]}`);
    expect(pick(answer, 'content-type', 'link')).toEqual({ 'content-type': 'application/json' });
    const head = await send('HEAD', list);
    expect([head.status, head.text]).toEqual([200, '']);
  });

  it('has every tag right after its push and none right after its deletion', async ({ expect }) => {
    await pushTags(['a']);
    for (const tag of ['b', 'c', 'd']) {
      await pushImage(name, tag);
      expect((await page('')).tags).toContain(tag);
      expect((await send('DELETE', `/v2/${name}/manifests/${tag}`)).status).toBe(202);
      expect((await page('')).tags).toEqual(['a']);
    }
  });

  it('hides the temporary tags of what was pushed by digest', async ({ expect }) => {
    const image = await pushImage(name, 'v1');
    await putManifest(name, image);
    expect((await page('')).tags).toEqual(['v1']);
  });

  it('of an unknown repository is 404, whatever the page', async ({ expect }) => {
    for (const query of ['', '?n=0', '?n=5&last=x']) {
      const answer = await send('GET', `${list}${query}`);
      expect([query, refusal(answer)]).toEqual([query, '404 NAME_UNKNOWN']);
    }
  });

  it('names a library repository as it was asked', async ({ expect }) => {
    await pushImage('alpine', '3');
    const short = await send('GET', '/v2/alpine/tags/list');
    expect(short.text).toBe('{"name":"alpine","tags":["3"]}');
    const long = await send('GET', '/v2/library/alpine/tags/list');
    expect(long.text).toBe('{"name":"library/alpine","tags":["3"]}');
  });
});

describe('pages of tags', () => {
  it('are linked one to the next, until the last has no link', async ({ expect }) => {
    await pushTags();
    const seen: string[] = [];
    const links: string[] = [];
    let query: string | null = '?n=4';
    while (query !== null) {
      const { tags, link }: Awaited<ReturnType<typeof page>> = await page(query);
      seen.push(...tags);
      query = link === null ? null : (/^<[^?]*(\?.*)>; rel="next"$/.exec(link)?.[1] ?? null);
      links.push(...(link === null ? [] : [link]));
    }
    expect(seen).toEqual(TAGS);
    expect(links).toEqual([
      `<${list}?n=4&last=B>; rel="next"`,
      `<${list}?n=4&last=a.b>; rel="next"`,
    ]);
  });

  it('scenario 64 (tags): have no Link for n=0 nor when n is the number of tags', async ({
    expect,
  }) => {
    await pushTags(['a', 'b', 'c']);
    expect(await page('?n=0')).toEqual({ tags: [], link: null });
    expect(await page('?n=0&last=a')).toEqual({ tags: [], link: null });
    expect(await page('?n=3')).toEqual({ tags: ['a', 'b', 'c'], link: null });
    expect(await page('?n=2&last=a')).toEqual({ tags: ['b', 'c'], link: null });
  });

  it('take any n: none below zero, the default for what is no number', async ({ expect }) => {
    await pushTags(['a', 'b', 'c']);
    const everything = { tags: ['a', 'b', 'c'], link: null };
    for (const n of [
      '1000',
      '1001',
      '999999999999999999999',
      '',
      'x',
      '1e3',
      '2.5',
      '0x2',
      'NaN',
    ]) {
      expect([n, await page(`?n=${n}`)]).toEqual([n, everything]);
    }
    for (const n of ['-1', '-99999999999999999999', '-0', '00']) {
      expect([n, await page(`?n=${n}`)]).toEqual([n, { tags: [], link: null }]);
    }
    expect((await page('?n=1&n=3')).tags).toEqual(['a']);
  });

  it('begin strictly after last, whether or not there is such a tag', async ({ expect }) => {
    await pushTags(['a', 'c', 'e']);
    expect(await after('')).toEqual(['a', 'c', 'e']);
    expect(await after('a')).toEqual(['c', 'e']);
    expect(await after('b')).toEqual(['c', 'e']);
    expect(await after('e')).toEqual([]);
    expect(await after('zzz')).toEqual([]);
    expect(await after('A')).toEqual(['a', 'c', 'e']);
    expect(await after('%00')).toEqual(['a', 'c', 'e']);
    expect(await after("'%20OR%201=1--")).toEqual(['a', 'c', 'e']);
    expect(await after('c'.repeat(5000))).toEqual(['e']);
    expect(await after('%ff')).toEqual(['a', 'c', 'e']);
  });

  it(
    'hold 100 tags where no n is given, and 1000 at most',
    { timeout: 60_000 },
    async ({ expect }) => {
      const names = Array.from({ length: 101 }, (_, index) => `t${String(index).padStart(3, '0')}`);
      await pushTags(names);
      const { tags, link } = await page('');
      expect(tags).toEqual(names.slice(0, 100));
      expect(link).toBe(`<${list}?n=100&last=t099>; rel="next"`);
      expect(await page('?n=5000')).toEqual({ tags: names, link: null });
    },
  );
});
