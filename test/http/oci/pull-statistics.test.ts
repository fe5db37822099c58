import {
  createExecutionContext,
  createScheduledController,
  waitOnExecutionContext,
} from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import worker from '../../../src/index.ts';
import { DAY_MS } from '../../support/clock.ts';
import { aName, pushImage, requestOf } from '../../support/http.ts';
import { execute, select } from '../../support/stage.ts';

/** The Worker of this file counts pulls, and writes them down at the next second. */
const COUNTING = { ...env, PULL_REPORT_INTERVAL_SEC: '1' };

/** Sends requests at once, as one isolate gets them, and waits for what goes on behind the answers. */
async function sendAll(...requests: readonly Parameters<typeof requestOf>[]) {
  return Promise.all(
    requests.map(async (request) => {
      const context = createExecutionContext();
      const response = await worker.fetch(requestOf(...request), COUNTING, context);
      await response.arrayBuffer();
      await waitOnExecutionContext(context);
      return response.status;
    }),
  );
}

const tick = (cron: string) =>
  worker.scheduled(
    createScheduledController({ cron, scheduledTime: new Date() }),
    COUNTING,
    createExecutionContext(),
  );

/** Of tags, and of manifests. */
const counts = async () => [
  await select('SELECT tag_name AS name, pull_count AS n FROM tag_pull_statistics'),
  await select('SELECT pull_count AS n FROM manifest_pull_statistics'),
];

describe('pulls of manifests', () => {
  it('are counted once cron has come by: with their bytes only, and where they are served', async ({
    expect,
  }) => {
    // The first request decides with which settings the app is made.
    await sendAll(['GET', '/v2/']);
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = `/v2/${name}/manifests`;
    const at = { 'Berth-At': new Date().toISOString() };
    const unchanged = { 'If-None-Match': `"${digest}"` };
    expect(
      await sendAll(
        ['GET', `${path}/v1`],
        ['GET', `${path}/v1`],
        ['GET', `${path}/${digest}`],
        ['GET', `${path}/v1`, { headers: at }],
        // None of these is a pull.
        ['HEAD', `${path}/v1`],
        ['HEAD', `${path}/${digest}`],
        ['GET', `${path}/v1`, { headers: unchanged }],
        ['GET', `${path}/${digest}`, { headers: unchanged }],
        ['GET', `${path}/v2`],
        ['GET', `${path}/v1`, { authorization: null }],
      ),
    ).toEqual([200, 200, 200, 200, 200, 200, 304, 304, 404, 401]);
    expect(await counts()).toEqual([[], []]);
    expect(await select('SELECT * FROM pull_report')).not.toEqual([]);
    await tick('*/15 * * * *');
    expect(await counts()).toEqual([[{ name: 'v1', n: 2 }], [{ n: 4 }]]);
    expect(await select('SELECT * FROM pull_report')).toEqual([]);
  });

  it('by digest keep what they pulled, where the namespace says so; HEAD does not', async ({
    expect,
  }) => {
    const name = aName();
    const path = `/v2/${name}/manifests`;
    const pulled = await pushImage(name, 'v1');
    const looked = await pushImage(name, 'v2');
    await execute('UPDATE namespace SET held_by_pull_days = 7, removed_tag_expiration_s = 0');
    await execute('UPDATE repository_gc SET policy_s = 0');
    await sendAll(['GET', `${path}/${pulled.digest}`], ['HEAD', `${path}/${looked.digest}`]);
    const holds = await select("SELECT * FROM tag WHERE name LIKE '$temp-pulled-%'");
    expect(holds).toHaveLength(1);
    expect(Number(holds[0]?.['lifetime_end_ms'])).toBeGreaterThan(Date.now() + 7 * DAY_MS);
    await pushImage(name, 'v1');
    await pushImage(name, 'v2');
    await tick('* * * * *');
    expect(
      await sendAll(['GET', `${path}/${pulled.digest}`], ['GET', `${path}/${looked.digest}`]),
    ).toEqual([200, 404]);
    expect(await select('SELECT 1 FROM manifest WHERE digest = ?', looked.digest)).toEqual([]);
    expect(await sendAll(['DELETE', `${path}/${pulled.digest}`])).toEqual([202]);
    expect(await sendAll(['GET', `${path}/${pulled.digest}`])).toEqual([404]);
  });
});
