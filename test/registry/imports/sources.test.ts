import { describe, it } from 'vitest';

import {
  IMPORT_ATTEMPTS_MAX,
  IMPORT_BACK_OFF_MS_MAX,
  IMPORT_CHUNK_BYTES,
} from '../../../src/model/import-limits.ts';
import { MANIFEST_BYTES_MAX } from '../../../src/model/limits.ts';
import { uniqueBytes } from '../../support/content.ts';
import { openImportStage } from '../../support/imports.ts';
import { select } from '../../support/stage.ts';

const LOGIN = { username: 'ada-the-user', password: 'correct-horse' };
const redirect = (location: string) =>
  new Response(null, { status: 307, headers: { Location: location } });
const challenge = (header: string) =>
  new Response(null, { status: 401, headers: { 'WWW-Authenticate': header } });

describe('a source', () => {
  it('gets what logs in, and nobody else does', async ({ expect }) => {
    const { source, run } = await openImportStage();
    source.login = LOGIN;
    await source.addImage([uniqueBytes()], 'v1');
    // Blobs are with somebody else, as they mostly are.
    source.instead = (request) => {
      const { url } = request;
      if (url.host === 'cdn.example.net') {
        return source.answer({
          ...request,
          url: new URL(url.pathname, 'https://registry.example.com'),
          authorization: 'Bearer let-me-in',
        });
      }
      return url.pathname.includes('/blobs/') && request.authorization !== null
        ? redirect(`https://cdn.example.net${url.pathname}`)
        : null;
    };
    expect(await run(undefined, { credentials: LOGIN })).toMatchObject({ state: 'done' });
    const told = source.asked.filter(({ authorization }) => authorization !== null);
    expect(new Set(told.map(({ url }) => url.host))).toEqual(
      new Set(['registry.example.com', 'auth.registry.example.com']),
    );
    expect(source.asked.some(({ url }) => url.host === 'cdn.example.net')).toBe(true);
    expect(source.asked.every(({ redirect: mode }) => mode === 'manual')).toBe(true);
    const basics = told.filter(({ authorization }) => authorization?.startsWith('Basic '));
    expect(new Set(basics.map(({ url }) => url.host))).toEqual(
      new Set(['auth.registry.example.com']),
    );
  });

  it('that takes Basic gets it, and is told nothing before it asks', async ({ expect }) => {
    const { source, run } = await openImportStage();
    await source.addImage([uniqueBytes()], 'v1');
    const basic = `Basic ${btoa('ada-the-user:correct-horse')}`;
    source.instead = ({ authorization }) =>
      authorization === basic ? null : challenge('Basic realm="registry"');
    expect(await run(undefined, { credentials: LOGIN })).toMatchObject({ state: 'done' });
    expect(source.asked[0]?.authorization).toBeNull();
  });

  it('leads to no private address, by a redirect or for a token', async ({ expect }) => {
    for (const place of ['http://cdn.example.net/', 'https://127.0.0.1/', 'https://[::1]/']) {
      for (const answer of [redirect(place), challenge(`Bearer realm="${place}"`)]) {
        const { source, run } = await openImportStage();
        source.instead = () => answer.clone();
        expect(await run(undefined, { credentials: LOGIN })).toMatchObject({ state: 'failed' });
        expect(source.asked.map(({ url }) => url.host)).toEqual(['registry.example.com']);
      }
    }
  });

  it('whose tokens are elsewhere by a redirect gets no credentials there', async ({ expect }) => {
    const { source, run } = await openImportStage();
    source.login = LOGIN;
    source.instead = ({ url }) =>
      url.host === 'auth.registry.example.com' ? redirect('https://thief.example.net/') : null;
    expect(await run(undefined, { credentials: LOGIN })).toMatchObject({ state: 'failed' });
    expect(source.asked.some(({ url }) => url.host === 'thief.example.net')).toBe(false);
  });

  it('is not logged in to because somebody else, whom it redirects to, asks', async ({
    expect,
  }) => {
    const { source, run } = await openImportStage();
    source.instead = ({ url }) =>
      url.host === 'registry.example.com'
        ? redirect('https://cdn.example.net/')
        : challenge('Basic realm="mine"');
    expect(await run(undefined, { credentials: LOGIN })).toMatchObject({ state: 'failed' });
    expect(source.asked.filter(({ authorization }) => authorization !== null)).toEqual([]);
  });

  it('redirects so often and no further', async ({ expect }) => {
    const { source, run } = await openImportStage();
    source.instead = ({ url }) => redirect(`${url.href}x`);
    expect(await run()).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('redirects more than') as string,
    });
    expect(source.asked).toHaveLength(6);
  });

  it('that gives what is none of its digest is not believed', async ({ expect }) => {
    for (const kind of ['manifests/sha256:', 'blobs/']) {
      const { source, run, tagged } = await openImportStage();
      await source.addIndex([await source.addImage([uniqueBytes(500)])], 'v1');
      source.instead = (request) => {
        if (!request.url.pathname.includes(`/${kind}`)) {
          return null;
        }
        const { status, headers } = source.answer(request);
        const bytes = kind === 'blobs/' ? 500 : 100;
        return request.range !== null && !headers.get('Content-Range')?.endsWith('/500')
          ? source.answer(request)
          : new Response(uniqueBytes(bytes), { status, headers });
      };
      expect(await run()).toMatchObject({ state: 'failed' });
      expect(await tagged('v1')).toBeNull();
      expect(await select('SELECT 1 FROM tag WHERE hidden = 0')).toEqual([]);
    }
  });

  it('that has another size for a blob than the manifest is refused', async ({ expect }) => {
    const { source, run } = await openImportStage();
    await source.addImage([uniqueBytes(500)], 'v1');
    source.instead = ({ range }) =>
      range === null
        ? null
        : new Response(uniqueBytes(10), {
            status: 206,
            headers: { 'Content-Range': 'bytes 0-9/10000' },
          });
    expect(await run()).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('does not give blob') as string,
    });
  });

  it('that gives another part than was asked for is refused', async ({ expect }) => {
    const { source, run } = await openImportStage();
    const image = await source.addImage([], 'v1');
    const size = [...source.blobs.values()][0]?.byteLength;
    expect(image.kind).toBe('image');
    source.instead = ({ range }) =>
      range === null
        ? null
        : new Response(uniqueBytes(10), {
            status: 206,
            headers: { 'Content-Range': `bytes 5-14/${size}` },
          });
    expect(await run()).toMatchObject({ state: 'failed' });
  });

  it('without ranges gives the whole each time, of which the rest is taken', async ({ expect }) => {
    const { source, run, tagged } = await openImportStage();
    source.hasRanges = false;
    const layer = new Uint8Array(IMPORT_CHUNK_BYTES + 100).fill(7);
    const image = await source.addImage([layer], 'v1');
    expect(await run()).toMatchObject({ state: 'done' });
    expect(await tagged('v1')).toBe(image.digest);
  });

  it('that breaks off is gone on with behind what it gave', async ({ expect }) => {
    const { source, run, later, tagged } = await openImportStage();
    const layer = uniqueBytes(10_000);
    const image = await source.addImage([layer], 'v1');
    const digest = image.kind === 'image' ? image.localBlobDigests[0] : undefined;
    let pieces = 0;
    source.instead = (request) => {
      if (!request.url.pathname.endsWith(`/blobs/${digest}`)) {
        return null;
      }
      pieces += 1;
      const whole = source.answer(request);
      const from = Number(/bytes=(\d+)/.exec(request.range ?? '')?.[1]);
      let sent = false;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (sent) {
            controller.error(new Error('the connection was closed'));
          } else {
            sent = true;
            controller.enqueue(layer.slice(from, from + 4000));
          }
        },
      });
      return new Response(body, { status: 206, headers: whole.headers });
    };
    const ended = await later(await run(), 60_000);
    expect(ended).toMatchObject({ state: 'done' });
    expect(pieces).toBe(3);
    expect(await tagged('v1')).toBe(image.digest);
  });

  it('that fails is asked again ever more rarely, and then no more', async ({ expect }) => {
    const { source, run, later } = await openImportStage();
    source.instead = () => new Response('please wait', { status: 503 });
    let now = await run();
    expect(now).toMatchObject({
      state: 'waiting',
      error: 'registry.example.com answers 503 for manifest v1',
    });
    // Not before it is time.
    await later(now, 29_000);
    expect(source.asked).toHaveLength(1);
    for (let attempt = 2; attempt <= IMPORT_ATTEMPTS_MAX; attempt += 1) {
      now = await later(now, IMPORT_BACK_OFF_MS_MAX);
    }
    expect(source.asked).toHaveLength(IMPORT_ATTEMPTS_MAX);
    expect(now).toMatchObject({ state: 'failed', endedMs: expect.any(Number) as number });
  });

  it('that fails at any one request costs time and nothing else', async ({ expect }) => {
    const requests = 10;
    for (let failing = 1; failing <= requests; failing += 1) {
      const { source, run, later, tagged } = await openImportStage();
      const { index } = await source.addTwoArchitectures(`v1`);
      let count = 0;
      source.instead = () => {
        count += 1;
        if (count === failing) {
          throw new TypeError('connection refused');
        }
        return null;
      };
      const ended = await later(await run(), 60_000);
      expect([failing, ended.state, ended.error]).toEqual([failing, 'done', null]);
      expect(await tagged('v1')).toBe(index.digest);
    }
  });

  it('that has no such thing, or keeps it to itself, is not asked twice', async ({ expect }) => {
    for (const status of [401, 403, 404, 410]) {
      const { source, run } = await openImportStage();
      source.instead = () => new Response('<html>secret</html>', { status });
      const ended = await run();
      expect(ended.state).toBe('failed');
      expect(ended.error).not.toContain('secret');
      expect(source.asked).toHaveLength(1);
    }
  });

  it('may answer with no more than a manifest has', async ({ expect }) => {
    const { source, run } = await openImportStage();
    source.instead = () => new Response(new Uint8Array(MANIFEST_BYTES_MAX + 1));
    expect(await run()).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('more than') as string,
    });
  });

  it('is refused a blob that is too large before any of it is asked for', async ({ expect }) => {
    const { source, run } = await openImportStage({ settings: { maxBlobBytes: 400 } });
    await source.addImage([uniqueBytes(500)], 'v1');
    expect(await run()).toMatchObject({ state: 'failed' });
    expect(source.asked.filter(({ range }) => range?.endsWith('-499'))).toEqual([]);
  });
});
