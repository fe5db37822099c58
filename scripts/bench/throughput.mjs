import { createHash, randomBytes } from 'node:crypto';

import { closingOf } from './content.mjs';
import { figure, table } from './report.mjs';

const MB = 1_000_000;
const SIZES_MB = [10, 100, 1000];
const PIECE = randomBytes(MB);
/** What the edge lets through in one request on most plans; larger blobs go in chunks. */
const BODY_MB_MAX = 90;

/**
 * Bytes that no two blobs share, in pieces.
 * @param {{ seed: number, fromMb: number, countMb: number }} range
 */
async function* pieces({ seed, fromMb, countMb }) {
  for (let at = fromMb; at < fromMb + countMb; at += 1) {
    const piece = Buffer.from(PIECE);
    piece.writeUInt32BE(seed, 0);
    piece.writeUInt32BE(at, 4);
    yield piece;
  }
}

/**
 * Uploads and downloads blobs of several sizes: how fast, and how much memory the runtime had.
 * @param {import('./fill.mjs').World} world
 * @param {import('./process.mjs').Watched} process
 */
export async function measureThroughput({ client, send, repository }, process) {
  const results = [];
  for (const sizeMb of SIZES_MB) {
    const digest = await digestOfPieces(sizeMb);
    const up = await timed(process, () => upload(send, { sizeMb, digest }));
    const Authorization = await client.bearer(repository);
    const url = `${client.origin}/v2/${repository}/blobs/${digest}`;
    const down = await timed(process, () => download(url, { Authorization, digest }));
    results.push({ sizeMb, up, down });
  }
  return results;
}

/** @param {number} sizeMb */
async function digestOfPieces(sizeMb) {
  const hash = createHash('sha256');
  for await (const piece of pieces({ seed: sizeMb, fromMb: 0, countMb: sizeMb })) {
    hash.update(piece);
  }
  return `sha256:${hash.digest('hex')}`;
}

/**
 * @param {import('./client.mjs').Send} send
 * @param {{ sizeMb: number, digest: string }} blob
 */
async function upload(send, { sizeMb, digest }) {
  const started = await send('POST', '/blobs/uploads/', { expect: 202 });
  const closing = closingOf(started.headers.location, digest);
  const [session = ''] = closing.split('?');
  for (let fromMb = 0; fromMb < sizeMb; fromMb += BODY_MB_MAX) {
    const countMb = Math.min(BODY_MB_MAX, sizeMb - fromMb);
    const headers = {
      'Content-Range': `${fromMb * MB}-${(fromMb + countMb) * MB - 1}`,
      'Content-Length': String(countMb * MB),
    };
    const body = pieces({ seed: sizeMb, fromMb, countMb });
    const isWhole = countMb === sizeMb;
    await (isWhole
      ? send('PUT', closing, {
          headers: { 'Content-Length': headers['Content-Length'] },
          body,
          expect: 201,
        })
      : send('PATCH', session, { headers, body, expect: 202 }));
  }
  if (sizeMb > BODY_MB_MAX) {
    await send('PUT', closing, { body: Buffer.alloc(0), expect: 201 });
  }
}

/**
 * @param {string} url
 * @param {{ Authorization: string, digest: string }} expected
 */
async function download(url, { Authorization, digest }) {
  const { body } = await fetch(url, { headers: { Authorization } });
  const hash = createHash('sha256');
  for await (const chunk of body ?? []) {
    hash.update(chunk);
  }
  if (`sha256:${hash.digest('hex')}` !== digest) {
    throw new Error(`wrong bytes at ${url}`);
  }
}

/**
 * @param {import('./process.mjs').Watched} process
 * @param {() => Promise<void>} run
 */
async function timed(process, run) {
  process.resetPeak();
  const beforeBytes = process.memoryBytes();
  const startedMs = performance.now();
  await run();
  return {
    seconds: (performance.now() - startedMs) / 1000,
    peakBytes: process.peakBytes(),
    addedBytes: process.peakBytes() - beforeBytes,
  };
}

/** @param {Awaited<ReturnType<typeof measureThroughput>>} results */
export function describeThroughput(results) {
  const lines = results.flatMap(({ sizeMb, up, down }) =>
    /** @type {const} */ ([
      [`upload${sizeMb > BODY_MB_MAX ? `, chunks of ${BODY_MB_MAX} MB` : ', one body'}`, up],
      ['download', down],
    ]).map(([what, { seconds, peakBytes, addedBytes }]) => [
      `${what}, ${figure(sizeMb)} MB`,
      figure(sizeMb / seconds),
      figure(peakBytes / MB),
      figure(addedBytes / MB),
    ]),
  );
  return table(['', 'MB a second', 'peak memory, MB', 'above before, MB'], lines);
}
