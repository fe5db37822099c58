/**
 * Without a command: fills a local registry, measures it, and writes `docs/benchmarks.md`; with
 * `--large` it goes to a million tags. `load` is many clients at once, with `--clients` and
 * `--seconds`; exit code 1 if anything went wrong. `simulate` prints what collection comes to in a
 * registry of a million repositories, from costs that it measures: the tables of `docs/scale.md`.
 */
import { parseArgs } from 'node:util';

import { runBenchmark } from './benchmark.mjs';
import { runLoad } from './load.mjs';
import { runSimulation } from './simulate.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    large: { type: 'boolean', default: false },
    clients: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '120' },
  },
});
const [command = 'all'] = positionals;
if (command === 'all') {
  await runBenchmark({ isLarge: values.large });
} else if (command === 'load') {
  const isGood = await runLoad({
    clients: Number(values.clients),
    seconds: Number(values.seconds),
  });
  process.exitCode = isGood ? 0 : 1;
} else if (command === 'simulate') {
  await runSimulation();
} else {
  process.stderr.write(`unknown: ${command}; there are 'load' and 'simulate'\n`);
  process.exitCode = 2;
}
// What was started must not keep this process.
process.exit();
