import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

const NS_PER_MS = 1_000_000;

/**
 * The process that a runtime runs the Worker in, with the local stores; another one only forwards.
 * @param {{ pid: number }} runtime
 * @returns {Watched}
 */
export function workerProcess({ pid }) {
  const found = readdirSync('/proc').find((entry) => {
    try {
      const isChild = Number(statOf(entry)[1]) === pid;
      return (
        isChild &&
        /workerd.*entry=127\.0\.0\.1:0/s.test(readFileSync(`/proc/${entry}/cmdline`, 'utf8'))
      );
    } catch {
      // Not a process, or one that just ended.
      return false;
    }
  });
  if (found === undefined) {
    throw new Error('the runtime has no process for the Worker');
  }
  return watch(Number(found));
}

/**
 * @typedef {{ cpuMs: () => number, resetPeak: () => void, peakBytes: () => number, memoryBytes: () => number }} Watched
 * @param {number} pid
 * @returns {Watched} its CPU time so far, and the most memory that it had since the reset
 */
export function watch(pid) {
  const memory = (/** @type {string} */ name) =>
    Number(
      new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(
        readFileSync(`/proc/${pid}/status`, 'utf8'),
      )?.[1],
    ) * 1024;
  return {
    // Of its threads, to the nanosecond; they last as long as it does.
    cpuMs: () =>
      readdirSync(`/proc/${pid}/task`)
        .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8'))
        .reduce((sum, spent) => sum + Number(spent.split(' ')[0]) / NS_PER_MS, 0),
    // Linux's way to say that the peak counts from now on.
    resetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
    peakBytes: () => memory('VmHWM'),
    memoryBytes: () => memory('VmRSS'),
  };
}

/**
 * The fields of a process's `stat` from its state on.
 * @param {string} pid
 * @returns {string[]}
 */
function statOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
}
