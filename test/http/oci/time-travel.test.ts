import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import {
  errorsOf,
  imageIn,
  indexOf,
  pick,
  pushImage,
  putManifest,
  refusal,
  type SentManifest,
  send,
} from '../../support/http.ts';

const NAME = 'acme/app';
const DAY_MS = 86_400_000;
const WINDOW_SEC = 1_209_600;

/** Ten and five days ago, at the first moment of the day. */
const TODAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS;
const [FIRST_MS, SECOND_MS] = [TODAY_MS - 10 * DAY_MS, TODAY_MS - 5 * DAY_MS];

const rfc3339 = (timeMs: number): string => new Date(timeMs).toISOString();
/** The time as the name of a tag has it: `20261101T000000Z`. */
const compact = (timeMs: number): string => rfc3339(timeMs).replaceAll(/[-:]|\.\d+/g, '');

const pathOf = (reference: string): string => `/v2/${NAME}/manifests/${reference}`;

/** Asks for a tag of the past by header. */
const sendAt = (method: string, reference: string, time: string, headers: object = {}) =>
  send(method, pathOf(reference), { headers: { 'Berth-At': time, ...headers } });

/** Two versions of `latest`, the first from ten to five days ago. */
async function twoVersions(): Promise<readonly [SentManifest, SentManifest]> {
  const first = await pushImage(NAME, 'latest');
  const second = await pushImage(NAME, 'latest');
  await env.DB.batch([
    env.DB.prepare(
      `UPDATE tag SET lifetime_start_ms = ?, lifetime_end_ms = ? WHERE is_current = 0`,
    ).bind(FIRST_MS, SECOND_MS),
    env.DB.prepare('UPDATE tag SET lifetime_start_ms = ? WHERE is_current = 1').bind(SECOND_MS),
  ]);
  return [first, second];
}

/** What every answer by tag says of its manifest. */
const headersOf = (image: SentManifest): Record<string, string> => ({
  'content-type': image.mediaType,
  'content-length': String(image.bytes.byteLength),
  'docker-content-digest': image.digest,
  etag: `"${image.digest}"`,
  'cache-control': 'no-transform',
  vary: 'Berth-At',
});

const temporaryTags = async () =>
  (await env.DB.prepare('SELECT id FROM tag WHERE hidden = 1').all()).results;

describe('GET and HEAD of a tag as it was', () => {
  it('answer with what it pointed to then, by header and by name', async ({ expect }) => {
    const [first, second] = await twoVersions();
    const day = compact(FIRST_MS).slice(0, 8);
    const asked = [
      [first, await sendAt('GET', 'latest', rfc3339(FIRST_MS))],
      [first, await sendAt('GET', 'latest', rfc3339(FIRST_MS).slice(0, 10))],
      [first, await sendAt('GET', 'latest', rfc3339(SECOND_MS - 1))],
      [first, await send('GET', pathOf(`latest.at.${day}Z`))],
      [first, await send('GET', pathOf(`latest.at.${compact(SECOND_MS - 1000)}`))],
      [second, await sendAt('GET', 'latest', rfc3339(SECOND_MS))],
      [second, await send('GET', pathOf(`latest.at.${compact(SECOND_MS)}`))],
    ] as const;
    for (const [image, answer] of asked) {
      expect([answer.status, answer.bytes]).toEqual([200, image.bytes]);
    }
  });

  it('say which moment that is, and from when to when the tag pointed there', async ({
    expect,
  }) => {
    const [first, second] = await twoVersions();
    const names = [
      ...Object.keys(headersOf(first)),
      'berth-at',
      'berth-tag-start',
      'berth-tag-end',
    ];
    for (const method of ['GET', 'HEAD']) {
      const past = await sendAt(method, 'latest', rfc3339(FIRST_MS + 1));
      expect(pick(past, ...names, 'warning')).toEqual({
        ...headersOf(first),
        'berth-at': rfc3339(FIRST_MS + 1),
        'berth-tag-start': rfc3339(FIRST_MS),
        'berth-tag-end': rfc3339(SECOND_MS),
      });
      const recent = await send(method, pathOf(`latest.at.${compact(SECOND_MS)}`));
      expect(pick(recent, ...names)).toEqual({
        ...headersOf(second),
        'berth-at': rfc3339(SECOND_MS),
        'berth-tag-start': rfc3339(SECOND_MS),
      });
      const present = await send(method, pathOf('latest'));
      expect(pick(present, ...names)).toEqual(headersOf(second));
    }
  });

  it('are 304 where that is what the client has', async ({ expect }) => {
    const [first, second] = await twoVersions();
    const time = rfc3339(FIRST_MS);
    for (const method of ['GET', 'HEAD']) {
      const same = await sendAt(method, 'latest', time, { 'If-None-Match': `"${first.digest}"` });
      expect([same.status, same.text, same.headers.get('Berth-At')]).toEqual([304, '', time]);
      const other = await sendAt(method, 'latest', time, { 'If-None-Match': `"${second.digest}"` });
      expect(other.status).toBe(200);
    }
  });

  it('leave the client time to go on by digest, to the children too', async ({ expect }) => {
    const child = await imageIn(NAME);
    await putManifest(NAME, child, 'child');
    const index = await indexOf([child]);
    await putManifest(NAME, index, 'v1');
    await send('DELETE', pathOf('v1'));
    await send('DELETE', pathOf('child'));
    await env.DB.prepare('UPDATE tag SET lifetime_start_ms = ?').bind(FIRST_MS).run();
    expect((await send('GET', pathOf(child.digest))).status).toBe(404);
    expect((await sendAt('HEAD', 'v1', rfc3339(FIRST_MS))).status).toBe(200);
    for (const { digest, bytes } of [index, child]) {
      expect((await send('GET', pathOf(digest))).bytes).toEqual(bytes);
    }
    expect(await temporaryTags()).toHaveLength(1);
    const again = await sendAt('GET', 'v1', rfc3339(FIRST_MS));
    expect(again.headers.get('Server-Timing')).toContain('1 round trips');
    expect(await temporaryTags()).toHaveLength(1);
  });

  it('by the name of a tag that is really called so give that one', async ({ expect }) => {
    const [first] = await twoVersions();
    const name = `latest.at.${compact(FIRST_MS)}`;
    const literal = await pushImage(NAME, name);
    const answer = await send('GET', pathOf(name));
    expect(pick(answer, 'docker-content-digest', 'berth-at', 'vary')).toEqual({
      'docker-content-digest': literal.digest,
      vary: 'Berth-At',
    });
    // A header speaks of the tag that the reference names, whatever it is called.
    const noTag = await sendAt('GET', name, rfc3339(FIRST_MS));
    expect(refusal(noTag)).toBe('404 MANIFEST_UNKNOWN');
    await env.DB.prepare('UPDATE tag SET lifetime_end_ms = ? WHERE name = ?')
      .bind(TODAY_MS + 2 * DAY_MS, name)
      .run();
    const ending = await send('GET', pathOf(name));
    expect(ending.headers.get('Warning')).toBe(
      `299 - "tag '${name}' ends at ${rfc3339(TODAY_MS + 2 * DAY_MS)}"`,
    );
    expect((await send('DELETE', pathOf(name))).status).toBe(202);
    const past = await send('GET', pathOf(name));
    expect(past.headers.get('Docker-Content-Digest')).toBe(first.digest);
  });

  it('with a digest are what they are without a time', async ({ expect }) => {
    const [, second] = await twoVersions();
    for (const time of [rfc3339(FIRST_MS), 'yesterday', '']) {
      const answer = await sendAt('GET', second.digest, time);
      expect([answer.status, answer.bytes]).toEqual([200, second.bytes]);
      expect(pick(answer, 'berth-at', 'vary')).toEqual({});
    }
  });
});

describe('a time at which a tag', () => {
  it('pointed to nothing is 404, and says since when there is an answer', async ({ expect }) => {
    await twoVersions();
    const before = FIRST_MS - 1000;
    for (const answer of [
      await sendAt('GET', 'latest', rfc3339(before)),
      await send('GET', pathOf(`latest.at.${compact(before)}`)),
    ]) {
      const at = rfc3339(before);
      expect([answer.status, errorsOf(answer)]).toEqual([
        404,
        [
          {
            code: 'MANIFEST_UNKNOWN',
            message: `tag 'latest' pointed to nothing at ${at}`,
            detail: {
              reason: 'NO_TAG_THEN',
              at,
              windowStart: expect.stringMatching(/^\d{4}-.*Z$/) as string,
              windowSec: WINDOW_SEC,
            },
          },
        ],
      ]);
      const windowStart = /"windowStart":"([^"]+)"/.exec(answer.text)?.[1] ?? '';
      const distanceMs = Date.now() - WINDOW_SEC * 1000 - Date.parse(windowStart);
      expect(Math.abs(distanceMs)).toBeLessThan(60_000);
    }
    expect((await sendAt('HEAD', 'latest', rfc3339(before))).status).toBe(404);
    expect(refusal(await sendAt('GET', 'other', rfc3339(FIRST_MS)))).toBe('404 MANIFEST_UNKNOWN');
  });

  it('that lies before the window is 404 with that reason', async ({ expect }) => {
    await twoVersions();
    const answer = await sendAt('GET', 'latest', '2000-01-01T00:00:00Z');
    expect([answer.status, errorsOf(answer)]).toMatchObject([
      404,
      [
        {
          code: 'MANIFEST_UNKNOWN',
          message: expect.stringContaining("what tag 'latest' pointed to at 2000-01-01") as string,
          detail: { reason: 'OUTSIDE_WINDOW', at: '2000-01-01T00:00:00.000Z' },
        },
      ],
    ]);
  });

  it('is to come is 400', async ({ expect }) => {
    await twoVersions();
    const future = TODAY_MS + 2 * DAY_MS;
    for (const answer of [
      await sendAt('GET', 'latest', rfc3339(future)),
      await send('GET', pathOf(`latest.at.${compact(future)}`)),
    ]) {
      expect([answer.status, errorsOf(answer)]).toMatchObject([
        400,
        [
          {
            code: 'MANIFEST_INVALID',
            message: expect.stringContaining(`${rfc3339(future)} is still to come`) as string,
            detail: { reason: 'BAD_TIME' },
          },
        ],
      ]);
    }
    expect((await sendAt('HEAD', 'latest', rfc3339(future))).status).toBe(400);
  });

  it('is no time is 400 by header, and a name like any other by name', async ({ expect }) => {
    await twoVersions();
    for (const time of ['', 'yesterday', '2026-02-30T00:00:00Z', '20261101Z', '1793491200']) {
      const answer = await sendAt('GET', 'latest', time);
      expect([time, answer.status, errorsOf(answer)]).toEqual([
        time,
        400,
        [
          {
            code: 'MANIFEST_INVALID',
            message: 'Berth-At is a time as RFC 3339 writes it: 2026-11-01T12:00:00Z',
            detail: { reason: 'BAD_TIME' },
          },
        ],
      ]);
    }
    for (const suffix of ['20261399Z', '20260230Z', '20261101T2400Z', '20261101']) {
      const name = `latest.at.${suffix}`;
      const answer = await send('GET', pathOf(name));
      expect([answer.status, errorsOf(answer)]).toEqual([
        404,
        [{ code: 'MANIFEST_UNKNOWN', message: `tag '${name}' not found` }],
      ]);
    }
  });
});

describe('a repository that is not there', () => {
  it('has no past', async ({ expect }) => {
    const path = '/v2/acme/nowhere/manifests';
    const headers = { 'Berth-At': rfc3339(FIRST_MS) };
    for (const answer of [
      await send('GET', `${path}/latest`, { headers }),
      await send('GET', `${path}/latest.at.20200101Z`),
    ]) {
      expect(refusal(answer)).toBe('404 NAME_UNKNOWN');
    }
  });

  it('or is private, tells a stranger nothing of it', async ({ expect }) => {
    await twoVersions();
    const answer = await send('GET', pathOf(`latest.at.${compact(FIRST_MS)}`), {
      authorization: null,
    });
    expect(refusal(answer)).toBe('401 UNAUTHORIZED');
  });
});

describe('a write to a name that says a time', () => {
  it('acts on the tag of that name', async ({ expect }) => {
    const [first, second] = await twoVersions();
    const name = `latest.at.${compact(FIRST_MS)}`;
    expect(refusal(await send('DELETE', pathOf(name)))).toBe('404 MANIFEST_UNKNOWN');
    expect((await putManifest(NAME, second, name)).status).toBe(201);
    const tags = await send('GET', `/v2/${NAME}/tags/list`);
    expect(JSON.parse(tags.text)).toEqual({ name: NAME, tags: ['latest', name] });
    const literal = await send('GET', pathOf(name));
    expect(literal.headers.get('Docker-Content-Digest')).toBe(second.digest);
    expect((await send('DELETE', pathOf(name))).status).toBe(202);
    const past = await sendAt('GET', 'latest', rfc3339(FIRST_MS));
    expect(past.headers.get('Docker-Content-Digest')).toBe(first.digest);
  });

  it('pays no heed to a time in a header', async ({ expect }) => {
    const [first] = await twoVersions();
    const put = await send('PUT', pathOf('v2'), {
      headers: { 'Content-Type': first.mediaType, 'Berth-At': 'yesterday' },
      body: first.bytes,
    });
    expect(put.status).toBe(201);
    expect((await sendAt('DELETE', 'v2', rfc3339(FIRST_MS))).status).toBe(202);
  });
});
