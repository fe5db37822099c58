import { describe, it } from 'vitest';

import { NOTIFIED_VULNERABILITIES_MAX } from '../../../src/model/notification-limits.ts';
import type { Severity } from '../../../src/model/notifications.ts';
import type { SecurityReport } from '../../../src/model/security.ts';
import type { Scan } from '../../../src/registry/security.ts';
import { anIndex } from '../../support/content.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openNotificationStage, waitingMessages } from '../../support/notifications.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

type Stage = Awaited<ReturnType<typeof openNotificationStage>>;

/** A report of these vulnerabilities by name, with their severities. */
function found(vulnerabilities: Readonly<Record<string, string>>): Scan {
  const report: SecurityReport = {
    Layer: {
      Features: Object.entries(vulnerabilities).map(([Name, Severity]) => ({
        Name: 'openssl',
        Vulnerabilities: [{ Name, Severity, Link: `https://cve.example.com/${Name}` }],
      })),
    },
  };
  return { status: 'scanned', report };
}

const tellOf = (stage: Stage, priority?: Severity) =>
  stage.tell({
    event: 'vulnerability_found',
    eventConfig: priority === undefined ? {} : { vulnerability: { priority } },
    url: `https://hooks.example.com/${priority ?? 'any'}`,
  });

/** Writes a report down, and gives who was told of what. */
async function toldOf(
  stage: Stage,
  manifest: Parameters<Stage['operations']['setSecurityState']>[0],
  scan: Scan,
): Promise<Readonly<Record<string, readonly string[]>>> {
  const { clock, receiver } = stage;
  receiver.messages.length = 0;
  clock.advance(1);
  const world = openTestRegistry({ clock, fetch: receiver.fetch });
  await world.operations.setSecurityState(manifest, scan);
  await world.settleDeferred();
  return Object.fromEntries(
    receiver.messages.map(({ url, body }) => {
      const { vulnerabilities } = JSON.parse(body) as { vulnerabilities: { id: string }[] };
      return [url.split('/').at(-1) ?? '', vulnerabilities.map(({ id }) => id)];
    }),
  );
}

describe('vulnerabilities that a scanner finds', () => {
  it('are told to whoever wants to hear of one so bad, the worst first', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { manifest } = await stage.push('v1', await stage.image());
    await stage.push('v2', await stage.image());
    for (const priority of [undefined, 'Low', 'High', 'Critical'] as const) {
      await tellOf(stage, priority);
    }
    const scan = found({ 'CVE-1': 'Low', 'CVE-2': 'HIGH', 'CVE-3': 'negligible' });
    const all = ['CVE-2', 'CVE-1', 'CVE-3'];
    expect(await toldOf(stage, manifest, scan)).toEqual({ any: all, Low: all, High: all });
    expect(stage.receiver.bodies()[0]).toEqual({
      event: 'vulnerability_found',
      time: '2026-11-01T00:00:00.001Z',
      repository: `acme/${stage.repository.name}`,
      namespace: 'acme',
      name: stage.repository.name,
      manifest_digest: manifest.digest,
      tags: ['v1'],
      vulnerability: {
        id: 'CVE-2',
        priority: 'High',
        has_fix: false,
        link: 'https://cve.example.com/CVE-2',
      },
      vulnerabilities: expect.any(Array) as unknown[],
      vulnerability_count: 3,
    });
  });

  it('are told of once; a later report tells of what is new', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { manifest } = await stage.push('v1', await stage.image());
    await tellOf(stage, 'Medium');
    expect(await toldOf(stage, manifest, found({ 'CVE-1': 'High' }))).toEqual({
      Medium: ['CVE-1'],
    });
    expect(await toldOf(stage, manifest, found({ 'CVE-1': 'High' }))).toEqual({});
    const more = found({ 'CVE-1': 'High', 'CVE-2': 'Critical', 'CVE-3': 'what a scanner says' });
    expect(await toldOf(stage, manifest, more)).toEqual({ Medium: ['CVE-2', 'CVE-3'] });
    expect(await toldOf(stage, manifest, { status: 'failed' })).toEqual({});
    expect(await toldOf(stage, manifest, found({}))).toEqual({});
    // A word that nobody knows is no severity that was asked for.
    expect(await toldOf(stage, manifest, found({ 'CVE-4': 'shocking' }))).toEqual({});
  });

  it('are told of where tags hold the manifest, by an index too', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { repository, operations, registry } = stage;
    const child = await stage.image();
    await operations.createManifestByDigest(repository, child, 60);
    const info = await registry.lookupManifestByDigest(repository, child.digest, {
      allowHidden: true,
    });
    if (info === null) {
      throw new Error('the manifest is not there');
    }
    await tellOf(stage);
    expect(await toldOf(stage, info, found({ 'CVE-1': 'High' }))).toEqual({});
    await registry.resetSecurityStatus(info);
    const index = await anIndex([child]);
    await operations.createManifestAndRetargetTags(repository, index, ['b', 'a']);
    expect(await toldOf(stage, info, found({ 'CVE-1': 'High' }))).toEqual({ any: ['CVE-1'] });
    expect(stage.receiver.bodies()[0]).toMatchObject({
      tags: ['a', 'b'],
      manifest_digest: child.digest,
    });
  });

  it('are named up to a number, and counted', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { manifest } = await stage.push('v1', await stage.image());
    await tellOf(stage);
    const names = Array.from({ length: NOTIFIED_VULNERABILITIES_MAX + 5 }, (_, at) => `CVE-${at}`);
    await toldOf(stage, manifest, found(Object.fromEntries(names.map((name) => [name, 'Low']))));
    const [{ vulnerabilities, vulnerability_count: count } = {}] = stage.receiver.bodies();
    expect([(vulnerabilities as unknown[]).length, count]).toEqual([100, 105]);
  });

  it('are told of once, whichever answers are lost', async ({ expect }) => {
    const stage = await openNotificationStage();
    await tellOf(stage);
    // Nothing is sent, so that what was written can be counted.
    await execute('UPDATE repository_notification SET due_ms = 9e15');
    for (const fates of allFates(4)) {
      await execute('DELETE FROM notification_delivery');
      const { manifest } = await stage.push('v1', await stage.image());
      const world = openTestRegistry({ gate: losing(fates).gate, clock: stage.clock });
      const [outcome] = await Promise.allSettled([
        world.operations.setSecurityState(manifest, found({ 'CVE-1': 'High' })),
      ]);
      await Promise.allSettled([world.settleDeferred()]);
      const reports = await select(
        'SELECT * FROM manifest_security_report WHERE manifest_id = ?',
        manifest.id,
      );
      expect([fates, (await waitingMessages()).length]).toEqual([fates, reports.length]);
      if (outcome.status === 'fulfilled') {
        expect(reports).toHaveLength(1);
      }
    }
  });

  it('are told of once by two scanners at once', async ({ expect }) => {
    await interleaveAll(async () => {
      await execute('DELETE FROM repository_notification');
      const stage = await openNotificationStage();
      const { manifest } = await stage.push('v1', await stage.image());
      await tellOf(stage);
      await execute('UPDATE repository_notification SET due_ms = 9e15');
      const scanner =
        (ms: number, scan: Scan) =>
        async (gate: Parameters<Stage['runBehind']>[0]): Promise<void> => {
          const world = openTestRegistry({ gate });
          world.clock.advance(ms);
          await world.operations.setSecurityState(manifest, scan);
          await world.settleDeferred();
        };
      return {
        racers: [
          scanner(1, found({ 'CVE-1': 'High' })),
          scanner(2, found({ 'CVE-1': 'High', 'CVE-2': 'High' })),
        ],
        check: async (_outcomes, schedule) => {
          const told = (await waitingMessages()).flatMap(({ body }) => {
            const said = JSON.parse(String(body)) as { vulnerabilities: { id: string }[] };
            return said.vulnerabilities.map(({ id }) => id);
          });
          expect([schedule, told.toSorted()]).toEqual([schedule, ['CVE-1', 'CVE-2']]);
        },
      };
    });
  });

  it('are nobody’s where the repository was deleted meanwhile', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { manifest } = await stage.push('v1', await stage.image());
    await tellOf(stage);
    let calls = 0;
    const { operations } = openTestRegistry({
      clock: stage.clock,
      gate: async (_call, run) => {
        calls += 1;
        if (calls === 2) {
          await execute('UPDATE repository SET state = 3');
        }
        return run();
      },
    });
    await expect(
      operations.setSecurityState(manifest, found({ 'CVE-1': 'High' })),
    ).rejects.toMatchObject({ code: 'ManifestNotFound' });
    expect(await waitingMessages()).toEqual([]);
  });
});
