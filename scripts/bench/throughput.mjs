import { createHash, randomBytes } from 'node:crypto';

import { openClient } from './client.mjs';
import { closingOf } from './content.mjs';
import { openWorld } from './fill.mjs';
import { workerProcess } from './process.mjs';
import { figure, table } from './report.mjs';
import { startRuntime } from './runtime.mjs';

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
 * One way to keep a blob and get it back.
 * @typedef {{
 *   upload: (blob: { sizeMb: number, digest: string }) => Promise<unknown>,
 *   download: (digest: string) => Promise<Response>,
 * }} Way
 */

/**
 * Uploads and downloads blobs of several sizes, by the registry and by a Worker that hands the same
 * bytes to R2 and back: how fast, and how much memory the runtime had. Each has a runtime of its own,
 * for memory that was once taken is not all given back.
 */
export async function measureThroughput() {
  return {
    registry: await measureWay(async (client) => {
      const { send, repository } = await openWorld(client, 'bytes/app');
      const Authorization = await client.bearer(repository);
      return {
        upload: (blob) => upload(send, blob),
        download: (digest) =>
          fetch(`${client.origin}/v2/${repository}/blobs/${digest}`, {
            headers: { Authorization },
          }),
      };
    }),
    bare: await measureWay(async (client) => ({
      upload: (blob) => uploadBare(client, blob),
      download: (digest) => fetch(`${client.origin}/bench/object/${digest}`),
    })),
  };
}

/** @param {(client: import('./client.mjs').Client) => Promise<Way>} open */
async function measureWay(open) {
  const runtime = await startRuntime();
  try {
    const client = openClient(runtime.origin, { authorization: runtime.authorization });
    const way = await open(client);
    const process = workerProcess(runtime);
    const results = [];
    for (const sizeMb of SIZES_MB) {
      const digest = await digestOfPieces(sizeMb);
      const up = await timed(process, () => way.upload({ sizeMb, digest }));
      const down = await timed(process, async () => verify(await way.download(digest), digest));
      results.push({ sizeMb, up, down });
    }
    client.close();
    return results;
  } finally {
    await runtime.stop();
  }
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
 * The same bytes in the same requests: R2's own multipart upload, a part a request.
 * @param {import('./client.mjs').Client} client
 * @param {{ sizeMb: number, digest: string }} blob
 */
async function uploadBare({ send }, { sizeMb, digest }) {
  const path = `/bench/object/${digest}`;
  if (sizeMb <= BODY_MB_MAX) {
    const body = pieces({ seed: sizeMb, fromMb: 0, countMb: sizeMb });
    await send('PUT', path, {
      headers: { 'Content-Length': String(sizeMb * MB) },
      body,
      expect: 200,
    });
    return;
  }
  const started = await send('POST', path, { expect: 200 });
  const { uploadId } = /** @type {{ uploadId: string }} */ (JSON.parse(started.body.toString()));
  const parts = [];
  for (let fromMb = 0; fromMb < sizeMb; fromMb += BODY_MB_MAX) {
    const countMb = Math.min(BODY_MB_MAX, sizeMb - fromMb);
    const part = await send('PUT', `${path}?upload=${uploadId}&part=${parts.length + 1}`, {
      headers: { 'Content-Length': String(countMb * MB) },
      body: pieces({ seed: sizeMb, fromMb, countMb }),
      expect: 200,
    });
    parts.push(JSON.parse(part.body.toString()));
  }
  const body = Buffer.from(JSON.stringify(parts));
  await send('POST', `${path}?upload=${uploadId}`, { body, expect: 200 });
}

/**
 * @param {Response} response
 * @param {string} digest
 */
async function verify({ body, status }, digest) {
  const hash = createHash('sha256');
  for await (const chunk of body ?? []) {
    hash.update(chunk);
  }
  if (status !== 200 || `sha256:${hash.digest('hex')}` !== digest) {
    throw new Error(`wrong bytes of ${digest}, status ${status}`);
  }
}

/**
 * @param {import('./process.mjs').Watched} process
 * @param {() => Promise<unknown>} run
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

/** @param {Awaited<ReturnType<typeof measureThroughput>>} measured */
export function describeThroughput({ registry, bare }) {
  const lines = registry.flatMap(({ sizeMb, up, down }, at) => {
    const what = `${figure(sizeMb)} MB`;
    return [
      lineOf(
        `upload, ${what}${sizeMb > BODY_MB_MAX ? `, in chunks of ${BODY_MB_MAX} MB` : ''}`,
        sizeMb,
        [up, bare[at]?.up],
      ),
      lineOf(`download, ${what}`, sizeMb, [down, bare[at]?.down]),
    ];
  });
  const head = ['', 'MB a second', 'bare', 'peak memory, MB', 'bare', 'above before, MB', 'bare'];
  return table(head, lines);
}

/** @typedef {Awaited<ReturnType<typeof timed>>} Timed */

/**
 * @param {string} name
 * @param {number} sizeMb
 * @param {readonly (Timed | undefined)[]} sides the registry, and the Worker that only hands on
 */
const lineOf = (name, sizeMb, sides) => [
  name,
  ...sides.map((side) => figure(sizeMb / (side?.seconds ?? Number.NaN))),
  ...sides.map((side) => figure((side?.peakBytes ?? Number.NaN) / MB)),
  ...sides.map((side) => figure((side?.addedBytes ?? Number.NaN) / MB)),
];
