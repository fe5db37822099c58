/**
 * `npm run bench`: fills a local registry, measures it, and writes `docs/benchmarks.md`; with
 * `-- --large` it goes to a million tags. `npm run bench -- load` is many clients at once, with
 * `--clients` and `--seconds`; exit code 1 if anything went wrong.
 */
import { parseArgs } from 'node:util';

import { runBenchmark } from './bench/benchmark.mjs';
import { runLoad } from './bench/load.mjs';

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
} else {
  process.stderr.write(`unknown: ${command}; there is 'load'\n`);
  process.exitCode = 2;
}
// What was started must not keep this process.
process.exit();
