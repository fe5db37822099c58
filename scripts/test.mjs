/**
 * `npm test`: every ring of tests that this machine can run. The last line is the sum alone,
 * `N passed, N failed` (and `, N skipped` if there are any); exit code 1 unless all is well.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { NODE, run } from './child.mjs';
import { installMissing } from './install.mjs';

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */
/**
 * `lacks` says why this machine cannot run the ring, null if it can. `args` are for Node and make
 * it write its results to a file, in which `count` finds the numbers.
 * @typedef {{
 *   name: string,
 *   lacks: () => string | null,
 *   args: (report: string) => string[],
 *   count: (report: string) => Counts,
 * }} Ring
 */

/** @type {readonly Ring[]} */
const RINGS = [
  {
    name: 'workerd',
    lacks: () => null,
    args: (report) => [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    count: countVitest,
  },
  endToEndRing('e2e', { programs: ['skopeo'], files: 'test/e2e/*.test.mjs' }),
  endToEndRing('e2e/peer', {
    programs: ['skopeo', 'docker-registry'],
    files: 'test/e2e/peer/*.test.mjs',
  }),
];

process.exitCode = (await installMissing()) || (await runRings());

/**
 * @param {string} name
 * @param {{ programs: readonly string[], files: string }} needs `files` is a glob
 * @returns {Ring}
 */
function endToEndRing(name, { programs, files }) {
  return {
    name,
    lacks: () => {
      const missing = programs.find((program) => spawnSync(program, ['--version']).status !== 0);
      return missing === undefined ? null : `${missing} is not installed`;
    },
    args: (report) => [
      '--test',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=tap',
      `--test-reporter-destination=${report}`,
      files,
    ],
    count: countTap,
  };
}

/** @returns {Promise<number>} the exit code */
async function runRings() {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-test-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const remarks = [];
  for (const ring of RINGS) {
    const lacks = ring.lacks();
    if (lacks !== null) {
      remarks.push(`left out: ${ring.name}: ${lacks}`);
      continue;
    }
    const report = path.join(directory, ring.name.replaceAll('/', '-'));
    const code = await run(NODE, ring.args(report));
    const counts = existsSync(report) ? ring.count(report) : { passed: 0, failed: 0, skipped: 0 };
    const trouble = findTrouble(counts, code);
    if (trouble !== null) {
      counts.failed += 1;
      remarks.push(`failed: ${ring.name}: ${trouble}`);
    }
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }

  const skipped = sum.skipped === 0 ? '' : `, ${sum.skipped} skipped`;
  const closing = `${sum.passed} passed, ${sum.failed} failed${skipped}`;
  process.stdout.write(`\n${[...remarks, closing].join('\n')}\n`);
  return sum.failed === 0 ? 0 : 1;
}

/**
 * @param {Counts} counts
 * @param {number} code the ring's exit code
 * @returns {string | null} what is wrong beyond the failed tests, null if nothing is
 */
function findTrouble({ passed, failed }, code) {
  if (failed > 0) {
    return null;
  }
  if (code !== 0) {
    return `exit code ${code} without a failed test`;
  }
  return passed === 0 ? 'no test ran' : null;
}

/**
 * @param {string} report vitest's JSON
 * @returns {Counts}
 */
function countVitest(report) {
  const results = JSON.parse(readFileSync(report, 'utf8'));
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests,
    skipped: results.numPendingTests + results.numTodoTests,
  };
}

/**
 * @param {string} report in TAP, as Node's test runner writes it: the counts stand in its last lines
 * @returns {Counts}
 */
function countTap(report) {
  const tap = readFileSync(report, 'utf8');
  /** @param {string} name */
  const number = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0);
  return {
    passed: number('pass'),
    failed: number('fail') + number('cancelled'),
    skipped: number('skipped') + number('todo'),
  };
}
