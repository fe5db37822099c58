import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { startServer } from './server.mjs';

/** What a page names that a browser fetches by itself. */
const IN_HTML =
  /<(?:script|link|img|iframe|source|object|embed)\b[^>]*\b(?:src|href|data)="([^"]+)"/g;
const IN_CSS = /url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)/g;

/**
 * @param {RegExp} pattern with a group for each place of an address
 * @param {string} text
 * @returns {string[]}
 */
function findReferences(pattern, text) {
  return [...text.matchAll(pattern)].flatMap(([, ...groups]) => groups.filter(Boolean));
}

describe('the reference at /docs', { timeout: 120_000 }, () => {
  /** @type {string} */
  let directory;
  /** @type {import('./server.mjs').Server} */
  let server;

  /** @param {string} url */
  const get = (url) => fetch(new URL(url, `http://${server.host}/docs`), { redirect: 'manual' });

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
    server = await startServer(path.join(directory, 'state'));
  });
  after(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('lets the browser load what this host serves, and nothing else', async () => {
    const page = await get('/docs');
    assert.equal(page.status, 200);
    assert.match(page.headers.get('Content-Type') ?? '', /^text\/html\b/);
    assert.equal(
      page.headers.get('Content-Security-Policy'),
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
  });

  it('has all that it names here, and names no other host', async () => {
    const names = findReferences(IN_HTML, await (await get('/docs')).text());
    assert.ok(names.length >= 4, `a page of ${names.join()}`);
    for (const name of names) {
      assert.match(name, /^\/docs\/[\w.-]+$/);
      const file = await get(name);
      assert.equal(file.status, 200, name);
      assert.equal(file.headers.get('X-Content-Type-Options'), 'nosniff', name);
      const text = await file.text();
      const inside = name.endsWith('.css') ? findReferences(IN_CSS, text) : [];
      assert.deepEqual(
        inside.filter((url) => !url.startsWith('data:')),
        [],
        name,
      );
    }
  });

  it('shows the document of this host, and has nobody else judge it', async () => {
    const settings = await (await get('/docs/reference.js')).text();
    const [, url = ''] = /\burl: '([^']+)'/.exec(settings) ?? [];
    assert.equal(url, '/api/v1/openapi.json');
    assert.match(settings, /\bvalidatorUrl: null\b/);
    assert.doesNotMatch(settings, /https?:/);
    const document = /** @type {{ openapi: string }} */ (await (await get(url)).json());
    assert.equal(document.openapi, '3.1.0');
  });

  it('takes no other path away from the registry', async () => {
    assert.equal((await get('/v2/')).status, 401);
    for (const url of ['/', '/docs.html', '/_headers', '/documents', '/docs/swagger-ui.js']) {
      assert.equal((await get(url)).status, 404, url);
    }
  });
});
