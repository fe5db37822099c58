import { availableParallelism, totalmem } from 'node:os';

import { describeBill, makeBill } from './bill.mjs';
import { describeGarbage } from './garbage.mjs';
import { describeGrowth } from './growth.mjs';
import { SAMPLES } from './measure.mjs';
import { describePeer } from './peer.mjs';
import { figure, ms, table } from './report.mjs';
import { describeRows } from './rows.mjs';
import { describeThroughput } from './throughput.mjs';

/** @typedef {import('./benchmark.mjs').Measured} Measured */

const GIB = 2 ** 30;

/**
 * Everything that was measured, as the page that is kept.
 * @param {Measured & {
 *   rows: ReturnType<typeof import('./rows.mjs').weighRows>,
 *   throughput: Awaited<ReturnType<typeof import('./throughput.mjs').measureThroughput>>,
 * }} measured
 * @param {{ isLarge: boolean }} options
 */
export function describeAll(measured, { isLarge }) {
  const { growth, garbage, throughput, peer, rows } = measured;
  const machine = `${availableParallelism()} cores, ${figure(totalmem() / GIB)} GiB of memory`;
  return `# Benchmarks

Made by \`npm run bench${isLarge ? ' -- --large' : ''}\` on ${new Date().toISOString().slice(0, 10)}, on a machine with
${machine}, against \`wrangler dev\` with local D1, R2 and KV. Counts are what is to be
compared: they are the same on every machine. Times are of local stores, on a machine that others may
use too; they say how operations compare with each other.

## What an operation asks

In a repository of 100 tags, by somebody with a token; what goes on behind the answer is counted too.
*Round trips* and *statements* are D1's. R2 bills operations that write or list as class A, those that
read as class B; KV reads and writes apart. Figures are those of the median of ${SAMPLES} runs, with the
range where runs differ; a bold one is above its budget. Time and CPU are medians too, of the whole local
runtime with its HTTP, D1, R2 and KV: \`(empty)\` is what it takes to answer nothing, \`(statement)\` to ask
D1 one.

${describeOperations(measured)}

## The bill

${describeBill(billOf(measured))}

## Growth

${describeGrowth(growth)}

## Collecting garbage

Per image, of 20 that are due at once, with what the ticks ask that find them.

${describeGarbage(garbage)}

## Throughput and memory

One client. The memory is the whole local runtime's, whose simulated R2 and D1 share the process, so
the same bytes go through a Worker as well that only hands them to R2 and back (*bare*), in a runtime of
its own: what both need is the runtime's. It does not hash what is uploaded in chunks.

${describeThroughput(throughput)}

## Beside a registry on a disk

\`docker-registry\` of Debian, written in Go, with its files on the same disk and no access control, asked
in turns with this one. It is compiled and asked directly; this one runs in a development server, behind
a proxy, and its simulated stores wait for the disk at each write. The first line is what that comes to
before a registry does anything: a ratio like it says that the operation takes as long in both.

${describePeer(peer)}

## What rows weigh

In the database that the growth was measured in. Manifests have 1 to 15 layers, and their bodies are in
their rows.

${describeRows(rows)}
`;
}

/** @param {Measured} measured */
function billOf({ operations, cpu, reports }) {
  const found = (/** @type {string} */ name) => {
    const operation = operations.find((one) => one.name === name);
    if (operation === undefined) {
      throw new Error(`'${name}' was not measured`);
    }
    return operation;
  };
  const countsOf = (/** @type {string} */ name) => found(name).counts;
  return makeBill({ countsOf, cpuOf: (name) => found(name).cpuMs, cpu, reports });
}

const COLUMNS = /** @type {const} */ ([
  ['round trips', 'roundTrips'],
  ['statements', 'statements'],
  ['rows read', 'rowsRead'],
  ['rows written', 'rowsWritten'],
  ['KV reads', 'kvReads'],
  ['KV writes', 'kvWrites'],
  ['R2 class B', 'r2Reads'],
  ['R2 class A', 'r2Writes'],
]);

/** @param {Measured} measured */
function describeOperations({ operations, cpu }) {
  const lines = operations.map(({ name, budget, counts, least, most, wallMs, cpuMs }) => [
    name,
    ...COLUMNS.map(([, what]) => {
      const text =
        least[what] === most[what]
          ? figure(counts[what])
          : `${figure(counts[what])} (${figure(least[what])} to ${figure(most[what])})`;
      return most[what] > (budget?.[what] ?? Number.POSITIVE_INFINITY) ? `**${text}**` : text;
    }),
    ms(wallMs),
    ms(cpuMs),
  ]);
  const head = ['operation', ...COLUMNS.map(([title]) => title), 'time, ms', 'CPU, ms'];
  return `${table(head, lines)}

Many pulls in one isolate, without HTTP between: by tag ${cpu.byTagAllMs.toFixed(2)} ms of CPU, of which
${cpu.byTagMs.toFixed(2)} ms remain when the development server does not read the log, and
${cpu.byTagOwnMs.toFixed(2)} ms when the database's answer is replayed too. Without the log, by digest and warm
${cpu.byDigestMs.toFixed(2)} ms, a small blob ${cpu.smallBlobMs.toFixed(2)} ms, both with the
local cache; one of a mebibyte ${cpu.largeBlobMs.toFixed(2)} ms, from the local bucket; an empty
answer ${cpu.emptyMs.toFixed(2)} ms.`;
}
