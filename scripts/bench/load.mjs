import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { openClient } from './client.mjs';
import { idOf, runSql } from './fill.mjs';
import { ACTIONS, draw, listTags, pullWhole, pushAndPull } from './load-actions.mjs';
import { findUnowned } from './objects.mjs';
import { figure, ms, percentile, table } from './report.mjs';
import { startRuntime } from './runtime.mjs';

const REPOSITORIES = 10;
const TICK_PAUSE_MS = 3000;
/** The first is what cron runs every minute, so it runs as often as all others. */
const TICKS = ['*/5 * * * *', '*/10 * * * *', '*/15 * * * *', '17 * * * *'];
const AUDIT_TICK = '41 * * * *';
const AUDIT_RUNS_MAX = 20;
const DAYS_AGED = 2;
const PULLERS = 20;
const FAILURE_PAUSE_MS = 100;

/** @typedef {import('./client.mjs').Client} Client */
/** @typedef {import('./load-actions.mjs').Shelf} Shelf */
/** @typedef {import('./load-actions.mjs').World} World */
/**
 * @typedef {{
 *   requests: number[], answered: number[], statuses: Map<number, number>,
 *   durations: Map<string, number[]>, failures: Map<string, number>,
 * }} Done `answered` is when the Worker itself had answered, but for bodies
 */

/**
 * Many clients that push, pull, move, delete, mount and list at once while cron runs; every body is
 * checked. Afterwards the registry's audit looks for what collection missed, and all is pulled again.
 * @param {{ clients: number, seconds: number }} options
 * @returns {Promise<boolean>} whether nothing went wrong
 */
export async function runLoad({ clients, seconds }) {
  const runtime = await startRuntime({ variables: { PULL_REPORT_INTERVAL_SEC: '60' } });
  const { origin, authorization } = runtime;
  /** @type {Done} */
  const done = {
    requests: [],
    answered: [],
    statuses: new Map(),
    durations: new Map(),
    failures: new Map(),
  };
  const onAnswer = (/** @type {import('./client.mjs').Answer} */ answer) => {
    const { status, durationMs } = answer;
    done.requests.push(durationMs);
    done.answered.push(...timeInWorker(answer));
    done.statuses.set(status, (done.statuses.get(status) ?? 0) + 1);
  };
  const client = openClient(origin, { authorization, connections: clients + 1, onAnswer });
  try {
    const world = await openWorld(client);
    const endMs = Date.now() + seconds * 1000;
    const [ticks] = await Promise.all([
      runCron(client, { endMs, done }),
      ...Array.from({ length: clients }, () => visit(world, { endMs, done })),
    ]);
    const collected = await collectedIn(client);
    const audit = await auditAll(client);
    const pulled = await pullAll(world.shelves, done);
    client.close();
    await runtime.stopServer();
    const unowned = findUnowned(runtime.state);
    report(done, { clients, seconds, ticks, collected, audit, pulled, unowned });
    const found = Object.values(audit.found).reduce((sum, count) => sum + count, 0);
    return done.failures.size === 0 && found === 0 && unowned.length === 0;
  } finally {
    client.close();
    await runtime.stop();
  }
}

/**
 * How long the Worker says that it took; refusals do not. The rest is the development server, which
 * all bodies go through.
 * @param {import('./client.mjs').Answer} answer
 * @returns {readonly number[]} none or one
 */
function timeInWorker({ headers }) {
  const [, totalMs] = /total;dur=(\d+)/.exec(String(headers['server-timing'])) ?? [];
  return totalMs === undefined ? [] : [Number(totalMs)];
}

/** @param {Client} client @returns {Promise<World>} */
async function openWorld(client) {
  /** @type {Shelf[]} */
  const shelves = [];
  for (let at = 0; at < REPOSITORIES; at += 1) {
    const isForgetful = at % 2 === 1;
    const name = `${isForgetful ? 'forgetful' : 'load'}/app-${at}`;
    const send = await client.into(name);
    const shelf = { name, send, isForgetful, images: [] };
    await pushAndPull(shelf);
    shelves.push(shelf);
  }
  const forgetful = `(SELECT id FROM namespace WHERE name = 'forgetful')`;
  await runSql(client, [
    `UPDATE namespace SET removed_tag_expiration_s = 0 WHERE id = ${forgetful}`,
    `UPDATE repository_gc SET policy_s = 0 WHERE repository_id IN
      (SELECT id FROM repository WHERE namespace_id = ${forgetful})`,
  ]);
  return {
    shelves,
    sendFrom: (from, to) => client.into(to.name, { from: from.name }),
    endLeases: (shelf, digests) => {
      const blobs = digests.map((digest) => `'${digest}'`).join(', ');
      return runSql(client, [
        `UPDATE uploaded_blob SET expires_ms = 1 WHERE repository_id = ${idOf(shelf.name)}
          AND blob_id IN (SELECT id FROM blob WHERE digest IN (${blobs}))`,
        `UPDATE repository_gc SET earliest_lease_ms = 1 WHERE repository_id = ${idOf(shelf.name)}`,
      ]);
    },
  };
}

/** @param {Done} done @param {unknown} error */
function note({ failures }, error) {
  const message = error instanceof Error ? error.message : String(error);
  const what = message.replaceAll(/sha256:[0-9a-f]+|\b(?:app|v|doomed)-\d+|[0-9a-f-]{36}/g, '…');
  failures.set(what, (failures.get(what) ?? 0) + 1);
}

/**
 * One client, turn after turn until the end.
 * @param {World} world
 * @param {{ endMs: number, done: Done }} options
 */
async function visit(world, { endMs, done }) {
  while (Date.now() < endMs) {
    const { name, run, staysOnly = false } = drawAction();
    const shelf = draw(world.shelves.filter(({ isForgetful }) => !(staysOnly && isForgetful)));
    const startedMs = performance.now();
    try {
      await run(shelf, world);
      const durations = done.durations.get(name) ?? [];
      done.durations.set(name, durations);
      durations.push(performance.now() - startedMs);
    } catch (error) {
      note(done, error);
      await sleep(FAILURE_PAUSE_MS);
    }
  }
}

function drawAction() {
  let left = randomInt(ACTIONS.reduce((sum, { percent }) => sum + percent, 0));
  const drawn = ACTIONS.find(({ percent }) => (left -= percent) < 0);
  return drawn ?? draw(ACTIONS);
}

/**
 * @param {Client} client
 * @param {string} cron
 */
const tick = ({ send }, cron) =>
  send('GET', `/cdn-cgi/handler/scheduled?cron=${encodeURIComponent(cron)}`, { expect: 200 });

/**
 * @param {Client} client
 * @param {{ endMs: number, done: Done }} options
 * @returns {Promise<number>} how many ticks there were
 */
async function runCron(client, { endMs, done }) {
  let ticks = 0;
  while (Date.now() < endMs) {
    for (const cron of ['* * * * *', TICKS[ticks % TICKS.length] ?? '']) {
      try {
        await tick(client, cron);
      } catch (error) {
        note(done, error);
      }
    }
    ticks += 1;
    await sleep(TICK_PAUSE_MS);
  }
  return 2 * ticks;
}

/**
 * @param {Client} client
 * @returns {Promise<string>} what collection took meanwhile
 */
async function collectedIn(client) {
  const [rows = []] = await runSql(client, [
    'SELECT kind, count(*) AS n FROM gc_removal GROUP BY kind ORDER BY kind',
  ]);
  return rows.map(({ kind, n }) => `${n} ${kind}s`).join(', ');
}

/**
 * Has the registry look for what collection missed; it leaves out what is young, so nothing is.
 * @param {Client} client
 * @returns {Promise<{ checked: Record<string, number>, found: Record<string, number> }>}
 */
async function auditAll(client) {
  const agedMs = DAYS_AGED * 86_400_000;
  await runSql(client, [
    `UPDATE manifest SET created_ms = created_ms - ${agedMs}`,
    `UPDATE blob SET created_ms = created_ms - ${agedMs}`,
  ]);
  for (let run = 0; run < AUDIT_RUNS_MAX; run += 1) {
    await tick(client, AUDIT_TICK);
    const headers = client.administrator;
    const { body } = await client.send('GET', '/api/v1/garbage/audit', { headers, expect: 200 });
    const { finished } = JSON.parse(body.toString());
    if (finished !== null) {
      return finished;
    }
  }
  throw new Error(`the audit did not end in ${AUDIT_RUNS_MAX} runs`);
}

/**
 * Pulls all that the tags of all repositories name.
 * @param {readonly Shelf[]} shelves
 * @param {Done} done
 */
async function pullAll(shelves, done) {
  const work = [];
  for (const { send, images } of shelves) {
    const digests = new Map(images.map(({ tag, digest }) => [tag, digest]));
    const tags = await listTags(send);
    const missing = images.find(({ tag }) => !tags.includes(tag));
    if (missing !== undefined) {
      note(done, new Error(`${missing.tag} is not listed at the end`));
    }
    work.push(...tags.map((tag) => ({ send, tag, digest: digests.get(tag) })));
  }
  const pulled = { tags: work.length, bodies: 0 };
  const pullSome = async () => {
    for (let next = work.pop(); next !== undefined; next = work.pop()) {
      try {
        const bodies = await pullWhole(next.send, next.tag, next.digest);
        pulled.bodies += bodies;
      } catch (error) {
        note(done, error);
      }
    }
  };
  await Promise.all(Array.from({ length: PULLERS }, pullSome));
  return pulled;
}

/** @param {readonly number[]} times */
const percentilesOf = (times) => [0.5, 0.95, 0.99, 1].map((part) => ms(percentile(times, part)));

/**
 * @param {Done} done
 * @param {{
 *   clients: number, seconds: number, ticks: number, collected: string, unowned: readonly string[],
 *   audit: Awaited<ReturnType<typeof auditAll>>, pulled: { tags: number, bodies: number },
 * }} options
 */
function report(done, { clients, seconds, ticks, collected, audit, pulled, unowned }) {
  const { requests, answered, statuses, durations, failures } = done;
  /** @type {readonly [string, readonly number[]][]} */
  const all = [
    ['any request', requests],
    ['its answer in the Worker', answered],
    ...[...durations].toSorted(([one], [other]) => one.localeCompare(other)),
  ];
  const lines = [
    `${clients} clients, ${seconds} s, ${figure(ticks)} ticks of cron, which collected ${collected}`,
    table(
      ['what', 'times', 'median, ms', '95 %, ms', '99 %, ms', 'most, ms'],
      all.map(([name, times]) => [name, figure(times.length), ...percentilesOf(times)]),
    ),
    `statuses: ${[...statuses].map(([status, count]) => `${figure(count)} × ${status}`).join(', ')}`,
    `audit: of ${JSON.stringify(audit.checked)} found ${JSON.stringify(audit.found)}`,
    `objects that no row names: ${unowned.length}${unowned
      .slice(0, 5)
      .map((key) => `\n  ${key}`)
      .join('')}`,
    `afterwards ${figure(pulled.tags)} tags were pulled whole, ${figure(pulled.bodies)} bodies`,
    ...[...failures].map(([what, count]) => `${figure(count)} × ${what}`),
    failures.size === 0 ? 'No wrong byte, no failure.' : 'Something went wrong.',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
