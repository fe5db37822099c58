import { describe, it } from 'vitest';

import { HELD_BY_PULL_DAYS_MAX } from '../../src/model/limits.ts';
import type { NamespaceName } from '../../src/model/names.ts';
import { DAY_MS } from '../support/clock.ts';
import { losing } from '../support/lost-answers.ts';
import { openTestRegistry } from '../support/registry.ts';
import { openLaggingReplica } from '../support/replica.ts';
import { execute, openStage, select } from '../support/stage.ts';

const FOR_PUSH = { forPush: true };

async function makeNamespace(name: string, enabled: 0 | 1): Promise<void> {
  await execute('INSERT INTO namespace (name, enabled) VALUES (?, ?)', name, enabled);
}

/** Whether the namespace is enabled, and whether it exists and is disabled. */
async function states(
  { registry }: Pick<ReturnType<typeof openTestRegistry>, 'registry'>,
  name: string,
  options?: { readonly forPush: boolean },
): Promise<readonly [boolean, boolean]> {
  return [
    await registry.isNamespaceEnabled(name, options),
    await registry.isExistingDisabledNamespace(name, options),
  ];
}

describe('a namespace', () => {
  it('scenario 39 (namespaces): is enabled, or exists and is disabled, or neither', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    await makeNamespace('open', 1);
    await makeNamespace('closed', 0);
    expect(await states(registry, 'open')).toEqual([true, false]);
    expect(await states(registry, 'closed')).toEqual([false, true]);
    expect(await states(registry, 'unknown')).toEqual([false, false]);
  });

  it('may be a robot, and is asked for by exactly its name', async ({ expect }) => {
    const registry = openTestRegistry();
    await makeNamespace('acme+builder', 0);
    expect(await states(registry, 'acme+builder')).toEqual([false, true]);
    expect(await states(registry, 'Acme+builder')).toEqual([false, false]);
    expect(await states(registry, 'acme')).toEqual([false, false]);
  });

  it('whose name is not ASCII is unknown, and not asked for', async ({ expect }) => {
    const registry = openTestRegistry();
    for (const name of ['müller', 'acme\u{1f4a9}', '\ud800']) {
      await makeNamespace(name, 0);
      expect(await states(registry, name)).toEqual([false, false]);
    }
    expect(registry.meter.usage.d1RoundTrips).toBe(0);
  });

  it('that is marked for deletion is unknown by its old name', async ({ expect }) => {
    const registry = openTestRegistry();
    await makeNamespace('doomed', 1);
    await execute(
      `UPDATE namespace SET enabled = 0, name = ? WHERE name = 'doomed'`,
      crypto.randomUUID(),
    );
    expect(await states(registry, 'doomed')).toEqual([false, false]);
  });

  it('costs one round trip', async ({ expect }) => {
    const registry = openTestRegistry();
    await makeNamespace('open', 1);
    await registry.registry.isNamespaceEnabled('open');
    expect(registry.meter.usage).toMatchObject({ d1RoundTrips: 1, d1RowsWritten: 0 });
    expect(registry.meter.usage.d1RowsRead).toBeLessThanOrEqual(2);
  });
});

describe('a namespace near a replica that lags', () => {
  it('is decided about a push by the primary, and found there if it is new', async ({ expect }) => {
    await makeNamespace('acme', 1);
    const { bindings } = await openLaggingReplica();
    const reader = openTestRegistry({ bindings, readConsistency: 'replica' });
    await execute(`UPDATE namespace SET enabled = 0 WHERE name = 'acme'`);
    await makeNamespace('new', 1);
    expect(await states(reader, 'acme', FOR_PUSH)).toEqual([false, true]);
    expect(await states(reader, 'acme')).toEqual([true, false]);
    expect(await states(reader, 'new')).toEqual([true, false]);
    expect(await states(reader, 'new', FOR_PUSH)).toEqual([true, false]);
  });
});

describe('the settings of a namespace', () => {
  it('are changed one by one or together, and what is left out stays', async ({ expect }) => {
    const { operations } = openTestRegistry();
    await makeNamespace('acme', 1);
    await makeNamespace('other', 1);
    const before = await operations.getNamespace('acme' as NamespaceName);
    expect(before).toEqual({
      id: 1,
      name: 'acme',
      kind: 'organization',
      isEnabled: true,
      memberRole: 'none',
      windowSec: 1_209_600,
      heldByPullDays: 0,
      regionMode: 'off',
    });
    const other = await operations.getNamespace('other' as NamespaceName);
    expect(await operations.changeNamespace('acme', {})).toEqual(before);
    expect(await operations.changeNamespace('acme', { windowSec: 0 })).toEqual({
      ...before,
      windowSec: 0,
    });
    const change = { heldByPullDays: HELD_BY_PULL_DAYS_MAX, isEnabled: false };
    const changed = { ...before, windowSec: 0, ...change };
    expect(await operations.changeNamespace('acme', change)).toEqual(changed);
    expect(await operations.getNamespace('acme' as NamespaceName)).toEqual(changed);
    expect(await operations.getNamespace('other' as NamespaceName)).toEqual(other);
    expect(await operations.changeNamespace('nobody', { windowSec: 0 })).toBeNull();
    for (const heldByPullDays of [-1, HELD_BY_PULL_DAYS_MAX + 1, 0.5, Number.NaN]) {
      await expect(
        operations.changeNamespace('acme', { windowSec: 60, heldByPullDays }),
      ).rejects.toMatchObject({ code: 'HeldByPullDaysOutOfRange' });
    }
    for (const windowSec of [-1, 0.5]) {
      await expect(operations.changeNamespace('acme', { windowSec })).rejects.toThrow(RangeError);
    }
    expect(await operations.getNamespace('acme' as NamespaceName)).toEqual(changed);
  });

  it('that shorten the window have garbage collected by the new one', async ({ expect }) => {
    const stage = await openStage();
    const { clock, registry, operations, housekeeping, repository } = stage;
    await stage.push('v1', await stage.image());
    await registry.deleteTag(repository, 'v1');
    clock.advance(2 * DAY_MS);
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 0 });
    await operations.changeNamespace('acme', { windowSec: 86_400 });
    expect(await select('SELECT policy_s FROM repository_gc')).toEqual([{ policy_s: 86_400 }]);
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 1, manifests: 1 });
  });

  it('that enable it have collected what ended meanwhile', async ({ expect }) => {
    const stage = await openStage();
    const { clock, registry, operations, housekeeping, repository } = stage;
    await stage.push('v1', await stage.image());
    await registry.deleteTag(repository, 'v1');
    await operations.changeNamespace('acme', { isEnabled: false });
    clock.advance(30 * DAY_MS);
    // It visits the repository in vain, and would not come again.
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 0 });
    expect(await select('SELECT earliest_end_ms FROM repository_gc')).toEqual([
      { earliest_end_ms: null },
    ]);
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 0 });
    await operations.changeNamespace('acme', { isEnabled: true });
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 1, manifests: 1 });
    await operations.changeNamespace('acme', { isEnabled: false });
    // The answer is lost, and the same is sent again.
    const { gate } = losing(['committed, then lost']);
    const again = openTestRegistry({ clock, gate }).operations;
    expect(await again.changeNamespace('acme', { isEnabled: true })).toMatchObject({
      isEnabled: true,
    });
    expect(await select('SELECT earliest_end_ms FROM repository_gc')).toEqual([
      // Nothing is left to collect.
      { earliest_end_ms: null },
    ]);
    // Enabled twice, nothing is to be looked at anew.
    const hints = await select('SELECT * FROM repository_gc');
    await operations.changeNamespace('acme', { isEnabled: true });
    expect(await select('SELECT * FROM repository_gc')).toEqual(hints);
  });
});
