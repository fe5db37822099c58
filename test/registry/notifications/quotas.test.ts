import { describe, it } from 'vitest';

import { REFUSAL_MESSAGE_INTERVAL_MS } from '../../../src/model/notification-limits.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { openNotificationStage, waitingMessages } from '../../support/notifications.ts';
import { aBlobOf, anArtifact, limitsOf, repositoryNamed } from '../../support/quota.ts';
import { openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { execute } from '../../support/stage.ts';

type Stage = Awaited<ReturnType<typeof openNotificationStage>>;

/** A repository in a namespace of 100 bytes that warns above 50, and nothing in it. */
async function underQuota(): Promise<Stage> {
  const stage = await openNotificationStage();
  await stage.operations.setQuota('acme', limitsOf(100));
  return stage;
}

/** Pushes an artifact of one blob, and lets what is told be sent; whether it was stored. */
async function pushBlob(
  { clock, receiver, repository }: Stage,
  [number, size]: readonly [number, number],
): Promise<boolean> {
  const world = openTestRegistry({ clock, fetch: receiver.fetch });
  const artifact = await anArtifact(repository, [aBlobOf(size, number)]);
  const pushed = await world.registry.createManifestAndRetargetTag(
    repository,
    artifact,
    `v${number}`,
  );
  await settle(world);
  return pushed !== null;
}

/** What is deferred defers more itself. */
async function settle({ settleDeferred }: Pick<TestRegistry, 'settleDeferred'>): Promise<void> {
  await settleDeferred();
  await settleDeferred();
}

describe('a namespace that goes above the warning of its quota', () => {
  it('is told of by the push that brought it there', async ({ expect }) => {
    const stage = await underQuota();
    await stage.tell({ event: 'quota_warning' });
    for (const pushed of [
      [1, 30],
      [2, 20],
      [3, 10],
      [4, 5],
    ] as const) {
      expect(await pushBlob(stage, pushed)).toBe(true);
    }
    expect(stage.receiver.bodies()).toEqual([
      {
        event: 'quota_warning',
        time: '2026-11-01T00:00:00.000Z',
        repository: `acme/${stage.repository.name}`,
        namespace: 'acme',
        name: stage.repository.name,
        limit_bytes: 100,
        warning_percent: 50,
        used_bytes: 60,
      },
    ]);
  });

  it('is told of once by two pushes at once, of which neither alone would', async ({ expect }) => {
    await interleaveAll(async () => {
      await execute('DELETE FROM repository_notification');
      const stage = await underQuota();
      await execute('DELETE FROM manifest_blob');
      await execute('UPDATE quota_namespace_size SET size_bytes = 0');
      await stage.tell({ event: 'quota_warning' });
      await execute('UPDATE repository_notification SET due_ms = 9e15');
      const sizes = [30, 40];
      const artifacts = await Promise.all(
        sizes.map(async (size, number) => anArtifact(stage.repository, [aBlobOf(size, number)])),
      );
      const racer = (at: number) => async (gate: Parameters<Stage['runBehind']>[0]) => {
        const world = openTestRegistry({ gate });
        const artifact = artifacts[at];
        if (artifact !== undefined) {
          const tags = [`v${at}`];
          await world.operations.createManifestAndRetargetTags(stage.repository, artifact, tags);
        }
        await settle(world);
      };
      return {
        racers: [racer(0), racer(1)],
        check: async (_outcomes, schedule) => {
          const used = (await waitingMessages()).map(
            ({ body }) => (JSON.parse(String(body)) as { used_bytes: number }).used_bytes,
          );
          expect([schedule, used]).toEqual([schedule, [70]]);
        },
      };
    });
  });

  it('is not told of without a warning, or where it is above already', async ({ expect }) => {
    const stage = await underQuota();
    await stage.tell({ event: 'quota_warning' });
    await stage.operations.setQuota('acme', limitsOf(100, { warningPercent: null }));
    expect(await pushBlob(stage, [1, 60])).toBe(true);
    await stage.operations.setQuota('acme', limitsOf(100));
    expect(await pushBlob(stage, [2, 10])).toBe(true);
    expect(stage.receiver.messages).toEqual([]);
  });
});

describe('a push that is refused for a quota', () => {
  it('is told of, once an hour at most', async ({ expect }) => {
    const stage = await underQuota();
    await stage.tell({ event: 'quota_error' });
    await stage.tell({ event: 'quota_error' }, await repositoryNamed(stage, 'acme/other'));
    expect(await pushBlob(stage, [1, 60])).toBe(true);
    expect(await pushBlob(stage, [2, 50])).toBe(false);
    expect(stage.receiver.bodies()).toEqual([
      {
        event: 'quota_error',
        time: '2026-11-01T00:00:00.000Z',
        repository: `acme/${stage.repository.name}`,
        namespace: 'acme',
        name: stage.repository.name,
        limit_bytes: 100,
        reject_percent: 100,
        used_bytes: 60,
        added_bytes: 50,
      },
    ]);
    stage.clock.advance(REFUSAL_MESSAGE_INTERVAL_MS - 1);
    expect(await pushBlob(stage, [3, 50])).toBe(false);
    expect(stage.receiver.messages).toHaveLength(1);
    stage.clock.advance(1);
    expect(await pushBlob(stage, [4, 50])).toBe(false);
    expect(stage.receiver.messages).toHaveLength(2);
    expect(await waitingMessages()).toEqual([]);
  });

  it('is told of where an upload is refused, too', async ({ expect }) => {
    const stage = await underQuota();
    await stage.tell({ event: 'quota_error' });
    const { clock, receiver, repository } = stage;
    const world = openTestRegistry({ clock, fetch: receiver.fetch });
    const name = { namespace: repository.namespaceName, repository: repository.name };
    const started = await world.operations.startUpload(name);
    const chunk = { body: new ReadableStream<Uint8Array>(), offset: 0, length: 500 };
    await expect(
      world.operations.appendChunk(name, started?.uploadId ?? '', chunk),
    ).rejects.toMatchObject({ code: 'QuotaExceeded' });
    await settle(world);
    expect(receiver.bodies()).toMatchObject([{ event: 'quota_error', added_bytes: 500 }]);
  });
});
