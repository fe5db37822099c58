import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { ROOT } from '../child.mjs';
import { openClient } from './client.mjs';
import { measureCpu } from './cpu.mjs';
import { describeAll } from './document.mjs';
import { fence, fillTags, openWorld } from './fill.mjs';
import { measureGarbage } from './garbage.mjs';
import { measureGrowth, openGrowth } from './growth.mjs';
import { measure } from './measure.mjs';
import { BARE, OPERATIONS } from './operations.mjs';
import { compareWithPeer } from './peer.mjs';
import { workerProcess } from './process.mjs';
import { measurePullReports } from './pull-reports.mjs';
import { weighRows } from './rows.mjs';
import { startRuntime } from './runtime.mjs';
import { measureThroughput } from './throughput.mjs';

const OUTPUT = 'docs/benchmarks.md';

/**
 * Measures everything in a local runtime of its own, and writes what came out.
 * @param {{ isLarge: boolean }} options
 */
export async function runBenchmark({ isLarge }) {
  const runtime = await startRuntime();
  try {
    const measured = await measureAll(runtime, { isLarge });
    await runtime.stopServer();
    const rows = weighRows(runtime.state);
    say('throughput');
    const throughput = await measureThroughput();
    const text = describeAll({ ...measured, rows, throughput }, { isLarge });
    writeFileSync(path.join(ROOT, OUTPUT), text);
    process.stdout.write(`${OUTPUT} is written.\n`);
  } finally {
    await runtime.stop();
  }
}

/**
 * @param {import('./runtime.mjs').Runtime} runtime
 * @param {{ isLarge: boolean }} options
 */
async function measureAll(runtime, options) {
  const client = openClient(runtime.origin, { authorization: runtime.authorization });
  const worker = workerProcess(runtime);
  say('repositories');
  const small = await openWorld(client, 'small/app');
  const growing = await openGrowth(client, options);
  await fence(client);
  await fillTags(small, 100);
  say('operations');
  const operations = [];
  for (const operation of [...BARE, ...OPERATIONS]) {
    const result = await measure(operation, small, { process: worker });
    operations.push({ ...operation, ...result });
  }
  const cpu = await measureCpu(small, worker);
  const reports = await measurePullReports(small);
  say('the other registry');
  const peer = await compareWithPeer(client);
  say('growth');
  const growth = await measureGrowth(growing);
  say('garbage');
  const garbage = await measureGarbage(client);
  client.close();
  return { operations, cpu, reports, growth, garbage, peer };
}

const startedMs = Date.now();
/** @param {string} what is measured now */
function say(what) {
  const seconds = Math.round((Date.now() - startedMs) / 1000);
  process.stdout.write(`${String(seconds).padStart(4)} s  ${what} …\n`);
}

/** @typedef {Awaited<ReturnType<typeof measureAll>>} Measured */
