import { describe, it } from 'vitest';

import { openTestRegistry } from '../support/registry.ts';
import { openLaggingReplica } from '../support/replica.ts';
import { execute } from '../support/stage.ts';

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
