/**
 * `npm run bench`: from a fresh clone to `docs/benchmarks.md` in one command. What it takes is said in
 * `scripts/bench/main.mjs`.
 */
import { NODE, run } from './child.mjs';
import { installMissing } from './install.mjs';

process.exitCode =
  (await installMissing()) ||
  (await run(NODE, ['scripts/bench/main.mjs', ...process.argv.slice(2)]));
