import { availableParallelism, totalmem } from 'node:os';

import { describeBill, makeBill } from './bill.mjs';
import { describeGarbage } from './garbage.mjs';
import { describeGrowth } from './growth.mjs';
import { describePeer } from './peer.mjs';
import { figure, ms, table } from './report.mjs';
import { describeRows } from './rows.mjs';
import { describeThroughput } from './throughput.mjs';

/** @typedef {import('./benchmark.mjs').Measured} Measured */

const GIB = 2 ** 30;

/**
 * Everything that was measured, as the page that is kept.
 * @param {Measured & { rows: ReturnType<typeof import('./rows.mjs').weighRows> }} measured
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
*Round trips* are those to D1. A bold figure is above its budget. CPU time is that of the whole local
runtime, with its HTTP, D1, R2 and KV.

${describeOperations(measured)}

## The bill

${describeBill(billOf(measured))}

## Growth

${describeGrowth(growth)}

## Collecting garbage

Per image, of 20 that are due at once; a tick that finds nothing is in the tables above.

${describeGarbage(garbage)}

## Throughput and memory

One client. The memory is the whole local runtime's, whose simulated R2 and D1 share the process.

${describeThroughput(throughput)}

## Beside a registry on a disk

\`docker-registry\` of Debian, written in Go, with its files on the same disk and no access control. It is
compiled and asked directly; this one runs in a development server, whose stores are simulated, behind
a proxy. So the ratios say how the operations differ, not which registry is faster at the edge.

${describePeer(peer)}

## What rows weigh

In the database that the growth was measured in. A manifest's body of 2,000 characters is in its row.

${describeRows(rows)}
`;
}

/** @param {Measured} measured */
function billOf({ operations, cpu }) {
  const found = (/** @type {string} */ name) => {
    const operation = operations.find((one) => one.name === name);
    if (operation === undefined) {
      throw new Error(`'${name}' was not measured`);
    }
    return operation;
  };
  const countsOf = (/** @type {string} */ name) => found(name).counts;
  return makeBill({ countsOf, cpuOf: (name) => found(name).cpuMs, cpu });
}

/** @param {Measured} measured */
function describeOperations({ operations, cpu }) {
  const stores = ['KV read', 'KV written', 'R2 read', 'R2 written'];
  const lines = operations.map(({ name, budget, counts, wallMs, cpuMs }) => [
    name,
    within(counts.roundTrips, budget?.[0]),
    within(counts.rowsRead, budget?.[1]),
    within(counts.rowsWritten, budget?.[2]),
    ...[counts.kvReads, counts.kvWrites, counts.r2Reads, counts.r2Writes].map((count) =>
      figure(count, 2),
    ),
    ms(wallMs),
    ms(cpuMs),
  ]);
  const head = ['operation', 'round trips', 'rows read', 'rows written', ...stores];
  return `${table([...head, 'median, ms', 'CPU, ms'], lines)}

Many pulls in one isolate, without HTTP between: by tag ${cpu.byTagMs.toFixed(2)} ms of CPU, by digest
and warm ${cpu.byDigestMs.toFixed(2)} ms, one statement alone ${cpu.statementMs.toFixed(2)} ms, an empty answer
${cpu.emptyMs.toFixed(2)} ms. The statement's is nearly all the local database's.`;
}

/**
 * @param {number} count
 * @param {number | undefined} budget
 */
function within(count, budget) {
  const text = figure(count, 2);
  return budget !== undefined && count > budget ? `**${text}**` : text;
}
