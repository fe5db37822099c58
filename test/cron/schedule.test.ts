import { createExecutionContext, createScheduledController } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it, vi } from 'vitest';

import { SCHEDULE } from '../../src/cron/schedule.ts';
import worker from '../../src/index.ts';
import configuration from '../../wrangler.toml?raw';
import { DAY_MS } from '../support/clock.ts';
import { FakeReceiver } from '../support/receiver.ts';
import { execute, select } from '../support/stage.ts';

/** Runs a tick of the built Worker and gives the lines that it logged. */
async function tick(cron: string): Promise<readonly Record<string, unknown>[]> {
  const lines: string[] = [];
  const collect = (line: unknown) => void lines.push(String(line));
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(collect),
    vi.spyOn(console, 'error').mockImplementation(collect),
  ];
  try {
    const controller = createScheduledController({ cron, scheduledTime: new Date() });
    await worker.scheduled(controller, env, createExecutionContext());
  } finally {
    spies.forEach((spy) => {
      spy.mockRestore();
    });
  }
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function bury(key: string): Promise<void> {
  await execute(
    `INSERT INTO r2_tombstone (object_key, kind, not_before_ms, created_ms)
    VALUES (?, 'key', 0, 0)`,
    key,
  );
}

describe('the schedule', () => {
  it('has a job for every trigger of the deployment, and no other', ({ expect }) => {
    const [, crons = ''] = /^crons = \[(.*)\]$/m.exec(configuration) ?? [];
    expect([...SCHEDULE.keys()]).toEqual(JSON.parse(`[${crons}]`));
  });

  it('names every job once, for its lease', ({ expect }) => {
    const names = [...SCHEDULE.values()].flat().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('a tick', () => {
  it('drains tombstones every five minutes, and says what it did', async ({ expect }) => {
    await env.BUCKET.put('blobs/a', 'bytes');
    await bury('blobs/a');
    const [line] = await tick('*/5 * * * *');
    expect(line).toMatchObject({
      level: 'info',
      event: 'job',
      job: 'drain-tombstones',
      taken: 1,
      removed: 1,
      r2Deletes: 1,
      d1RoundTrips: 4,
    });
    expect(await env.BUCKET.head('blobs/a')).toBeNull();
  });

  it('gives up stale uploads and forgets old records every hour', async ({ expect }) => {
    await execute(
      "INSERT INTO namespace (name, enabled, removed_tag_expiration_s) VALUES ('n', 1, 0)",
    );
    await execute(`INSERT INTO repository (namespace_id, name, kind, visibility, state)
      SELECT id, 'r', 'image', 'private', 0 FROM namespace`);
    const idleSinceMs = Date.now() - 3 * DAY_MS;
    await execute(`INSERT INTO blob_upload (uuid, repository_id, location, object_key, part_size,
        sha_state, storage_metadata, state, version, created_ms, updated_ms)
      SELECT 'u', id, 'r2', 'blobs/u', 5242880, '', '{}', 'open', 0, ${idleSinceMs}, ${idleSinceMs}
      FROM repository`);
    await execute(`INSERT INTO gc_removal (removed_ms, kind, reason, digest, size_bytes)
      VALUES (0, 'blob', 'unreferenced', 'd', 1)`);
    await execute(`INSERT INTO audit_log (id, uuid, kind, performer_kind, metadata)
      VALUES (1, 'u', 'login_failure', 'anonymous', '{}')`);
    expect(await tick('17 * * * *')).toMatchObject([
      { job: 'expire-uploads', expired: 1 },
      { job: 'forget-old-records', removals: 1, releases: 0, auditRecords: 1 },
    ]);
    expect(await select('SELECT * FROM blob_upload')).toEqual([]);
    expect(await select('SELECT * FROM gc_removal')).toEqual([]);
    expect(await select('SELECT * FROM audit_log')).toEqual([]);
  });

  it('with nothing to do costs six round trips at most, and writes only its lease', async ({
    expect,
  }) => {
    // The first pass of the audit is something to do.
    await tick('41 * * * *');
    for (const cron of SCHEDULE.keys()) {
      const lines = await tick(cron);
      const sum = (field: string) => lines.reduce((total, line) => total + Number(line[field]), 0);
      expect([cron, sum('d1RoundTrips') <= 6, sum('d1RowsRead') <= 60]).toEqual([cron, true, true]);
    }
  });

  it('audits once a day, and says each hour if the last pass found something', async ({
    expect,
  }) => {
    await execute(`INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      VALUES ('u', 'd', 5, 'blobs/u', 'r2', 0)`);
    await env.BUCKET.put('blobs/u', 'bytes');
    const found = { lateHints: 0, unlistedManifests: 0, unownedObjects: 0, damagedBlobs: 0 };
    const told = { level: 'error', event: 'job', job: 'audit-stores', ...found, unlistedBlobs: 1 };
    const others = { job: 'tell-of-ending-tags', messages: 0, d1RoundTrips: 1 };
    expect(await tick('41 * * * *')).toMatchObject([
      { ...told, blobs: 1, sampledBlobs: 1, unfinished: 0 },
      others,
    ]);
    expect(await tick('41 * * * *')).toMatchObject([{ ...told, d1RoundTrips: 3 }, others]);
    await tick('* * * * *');
    await execute('UPDATE gc_audit SET began_ms = began_ms - ?', DAY_MS);
    expect(await tick('41 * * * *')).toMatchObject([
      { ...told, level: 'info', unlistedBlobs: 0 },
      others,
    ]);
  });

  it('sends each minute what was not taken yet', async ({ expect }) => {
    const receiver = new FakeReceiver();
    vi.stubGlobal('fetch', receiver.fetch);
    await execute("INSERT INTO namespace (name) VALUES ('n')");
    await execute("INSERT INTO repository (namespace_id, name) SELECT id, 'r' FROM namespace");
    await execute(`INSERT INTO repository_notification (uuid, repository_id, event, method,
        config_json, due_ms)
      SELECT 'u', id, 'repo_push', 'webhook', '{"url":"https://hooks.example.com/"}', 1
      FROM repository`);
    await execute(`INSERT INTO notification_delivery (notification_id, created_ms, message_id, body)
      SELECT id, 1, 'm', '{}' FROM repository_notification`);
    const lines = await tick('* * * * *');
    vi.unstubAllGlobals();
    expect(lines).toContainEqual(
      expect.objectContaining({ job: 'deliver-notifications', delivered: 1, d1RoundTrips: 2 }),
    );
    expect(receiver.ids()).toEqual(['m']);
  });

  it('skips a job that another run is at', async ({ expect }) => {
    await bury('blobs/a');
    await execute(
      "INSERT INTO gc_lease (name, token, expires_ms) VALUES ('drain-tombstones', 't', ?)",
      Date.now() + DAY_MS,
    );
    expect((await tick('*/5 * * * *'))[0]).toMatchObject({ skipped: true, d1RoundTrips: 1 });
    expect(await select('SELECT * FROM r2_tombstone')).toHaveLength(1);
  });

  it('fails, and says why, when a job does', async ({ expect }) => {
    await execute('DROP TABLE r2_tombstone');
    await expect(tick('*/5 * * * *')).rejects.toThrow("1 jobs of '*/5 * * * *' failed");
    expect(await select('SELECT * FROM gc_lease')).toEqual([]);
  });

  it('of an unknown expression fails', async ({ expect }) => {
    await expect(tick('0 0 1 1 *')).rejects.toThrow("no cron expression '0 0 1 1 *'");
  });
});
