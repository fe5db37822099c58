import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import {
  type CountryCode,
  parseCountryCode,
  type RegionMode,
  type RegionRules,
} from '../../src/model/regions.ts';
import { SECOND_MS, TestClock } from '../support/clock.ts';
import { interleaveAll } from '../support/interleave.ts';
import { failingKv, overwriteCache } from '../support/kv.ts';
import { allFates, losing } from '../support/lost-answers.ts';
import { openTestRegistry, type TestRegistry } from '../support/registry.ts';
import { openLaggingReplica } from '../support/replica.ts';
import { execute, select } from '../support/stage.ts';

const TTL_MS = 240 * SECOND_MS;

const countries = (...codes: readonly string[]): readonly CountryCode[] =>
  codes.map(parseCountryCode).filter((code) => code !== null);

async function makeNamespace(name = 'ns'): Promise<void> {
  await execute('INSERT INTO namespace (name) VALUES (?)', name);
}

/** A restriction that another caller made, of which this isolate knows nothing. */
async function restrict(code: string, name = 'ns'): Promise<void> {
  await execute(
    `INSERT INTO namespace_geo_restriction (namespace_id, restricted_region_iso_code, added_ms)
    SELECT id, ?, 0 FROM namespace WHERE name = ?`,
    code,
    name,
  );
}

/** What the namespace does not serve; the cache is filled before the call returns. */
async function blocked(
  { registry, settleDeferred }: Pick<TestRegistry, 'registry' | 'settleDeferred'>,
  name = 'ns',
): Promise<readonly string[] | null> {
  const found = await registry.getCachedNamespaceRegionBlacklist(name);
  await settleDeferred();
  return found && [...found];
}

/** Replaces the rules, with all that is left for after the answer. */
async function replace(
  { operations, settleDeferred }: Pick<TestRegistry, 'operations' | 'settleDeferred'>,
  rules: RegionRules,
  name = 'ns',
): Promise<RegionRules | null> {
  const replaced = await operations.replaceRegionRules(name, rules);
  await settleDeferred();
  return replaced;
}

async function storedRules(): Promise<readonly unknown[]> {
  return select(`SELECT n.region_mode, g.restricted_region_iso_code AS code, g.added_ms
    FROM namespace n LEFT JOIN namespace_geo_restriction g ON g.namespace_id = n.id
    WHERE n.name = 'ns' ORDER BY code`);
}

describe('getCachedNamespaceRegionBlacklist', () => {
  it('scenario 42 (regions): gives the codes of the namespace, and none for another', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    await makeNamespace('ns');
    await makeNamespace('other');
    await restrict('US', 'ns');
    expect(await blocked(registry, 'ns')).toEqual(['US']);
    expect(await blocked(registry, 'other')).toEqual([]);
    expect(await blocked(registry, 'unknown')).toEqual([]);
  });

  it('asks nobody about a name that no namespace can have', async ({ expect }) => {
    const registry = openTestRegistry();
    expect(await blocked(registry, 'müller')).toEqual([]);
    expect(await blocked(registry, '\ud800')).toEqual([]);
    expect(registry.meter.usage).toMatchObject({ d1RoundTrips: 0, kvReads: 0 });
  });

  it('costs a round trip once, then a KV read in each isolate, then nothing', async ({
    expect,
  }) => {
    await makeNamespace();
    await restrict('US');
    const first = openTestRegistry();
    await blocked(first);
    expect(first.meter.usage).toMatchObject({ d1RoundTrips: 1, kvReads: 1, kvWrites: 1 });
    const second = openTestRegistry();
    for (const _ of [1, 2, 3]) {
      expect(await blocked(second)).toEqual(['US']);
    }
    expect(second.meter.usage).toMatchObject({ d1RoundTrips: 0, kvReads: 1, kvWrites: 0 });
  });

  it('keeps the empty set too', async ({ expect }) => {
    await makeNamespace();
    await blocked(openTestRegistry());
    const second = openTestRegistry();
    await restrict('US');
    expect(await blocked(second)).toEqual([]);
    expect(second.meter.usage.d1RoundTrips).toBe(0);
  });

  it('shows a change after 240 s, wherever the old set was remembered', async ({ expect }) => {
    const clock = new TestClock();
    const [loader, reader] = [openTestRegistry({ clock }), openTestRegistry({ clock })];
    await makeNamespace();
    expect(await blocked(loader)).toEqual([]);
    await restrict('US');
    clock.advance(TTL_MS - SECOND_MS);
    // Read from KV in the last second: the memory must not add 240 s of its own.
    expect(await blocked(reader)).toEqual([]);
    clock.advance(SECOND_MS - 1);
    expect([await blocked(loader), await blocked(reader)]).toEqual([[], []]);
    clock.advance(1);
    expect([await blocked(reader), await blocked(loader)]).toEqual([['US'], ['US']]);
  });

  it('is read from the primary, where a replica lags', async ({ expect }) => {
    const { bindings } = await openLaggingReplica();
    await makeNamespace();
    await restrict('US');
    expect(await blocked(openTestRegistry({ bindings, readConsistency: 'replica' }))).toEqual([
      'US',
    ]);
  });

  it('gives null where the list cannot be loaded, says why, and keeps nothing', async ({
    expect,
  }) => {
    const failures: unknown[] = [];
    const registry = openTestRegistry({ onFailure: (error) => failures.push(error) });
    await makeNamespace();
    await restrict('US');
    await execute('ALTER TABLE namespace_geo_restriction RENAME TO hidden');
    expect(await blocked(registry)).toBeNull();
    expect(String(failures[0])).toContain('no such table');
    await execute('ALTER TABLE hidden RENAME TO namespace_geo_restriction');
    expect(await blocked(registry)).toEqual(['US']);
  });

  it('is loaded while KV fails, and where KV holds no list', async ({ expect }) => {
    await makeNamespace();
    await restrict('US');
    const failures: unknown[] = [];
    const onFailure = (error: unknown) => failures.push(error);
    const CACHE = failingKv();
    const without = openTestRegistry({
      bindings: { DB: env.DB, BUCKET: env.BUCKET, CACHE },
      onFailure,
    });
    expect(await blocked(without)).toEqual(['US']);
    expect(failures).toHaveLength(2);
    await blocked(openTestRegistry());
    for (const garbage of ['{', '["DE"]', '{"version":"","validUntilMs":9e15,"value":"DE"}']) {
      expect(await overwriteCache(garbage)).toHaveLength(1);
      expect(await blocked(openTestRegistry({ onFailure }))).toEqual(['US']);
    }
  });
});

describe('replaceRegionRules', () => {
  it('replaces mode and countries together, and gives them as stored', async ({ expect }) => {
    const registry = openTestRegistry();
    const { clock } = registry;
    await makeNamespace();
    const rule = (mode: RegionMode, ...codes: readonly string[]) =>
      replace(registry, { mode, blocked: countries(...codes) });
    expect(await rule('enforce', 'us', 'KP', 'US')).toEqual({
      mode: 'enforce',
      blocked: ['KP', 'US'],
    });
    const firstMs = clock.nowMs();
    clock.advance(SECOND_MS);
    expect(await rule('observe', 'US', 'DE')).toEqual({
      mode: 'observe',
      blocked: ['DE', 'US'],
    });
    expect(await storedRules()).toEqual([
      { region_mode: 'observe', code: 'DE', added_ms: clock.nowMs() },
      { region_mode: 'observe', code: 'US', added_ms: firstMs },
    ]);
    expect(await rule('off')).toEqual({ mode: 'off', blocked: [] });
    expect(await storedRules()).toEqual([{ region_mode: 'off', code: null, added_ms: null }]);
  });

  it('touches no other namespace, and gives null for an unknown one', async ({ expect }) => {
    const registry = openTestRegistry();
    await makeNamespace('ns');
    await makeNamespace('other');
    await restrict('FR', 'other');
    const rules = { mode: 'enforce', blocked: countries('US') } as const;
    expect(await replace(registry, rules, 'unknown')).toBeNull();
    await replace(registry, rules);
    expect(await blocked(registry, 'other')).toEqual(['FR']);
    expect(await select('SELECT count(*) AS n FROM namespace_geo_restriction')).toEqual([{ n: 2 }]);
  });

  it('is seen at once by the isolate that asked for it', async ({ expect }) => {
    const registry = openTestRegistry();
    await makeNamespace();
    expect(await blocked(registry)).toEqual([]);
    const rules = { mode: 'enforce', blocked: countries('US') } as const;
    await replace(registry, rules);
    expect(await blocked(registry)).toEqual(['US']);
  });

  it('is whole, whoever replaces the rules at the same time', async ({ expect }) => {
    await makeNamespace();
    const one = { mode: 'enforce', blocked: countries('DE', 'US') } as const;
    const other = { mode: 'observe', blocked: countries('FR') } as const;
    await interleaveAll(async () => ({
      racers: [
        (gate) => replace(openTestRegistry({ gate }), one),
        (gate) => replace(openTestRegistry({ gate }), other),
      ],
      check: async () => {
        const rows = await select(`SELECT n.region_mode AS mode, group_concat(code) AS codes
          FROM namespace n JOIN (SELECT restricted_region_iso_code AS code
            FROM namespace_geo_restriction ORDER BY code) GROUP BY n.id`);
        expect([
          [{ mode: 'enforce', codes: 'DE,US' }],
          [{ mode: 'observe', codes: 'FR' }],
        ]).toContainEqual(rows);
      },
    }));
  });

  it('is done, or not at all, whatever answers are lost', async ({ expect }) => {
    for (const fates of allFates(2)) {
      await execute('DELETE FROM namespace_geo_restriction');
      await execute('DELETE FROM namespace');
      await makeNamespace();
      await restrict('FR');
      const registry = openTestRegistry({ gate: losing(fates).gate });
      const rules = { mode: 'enforce', blocked: countries('US') } as const;
      expect(await replace(registry, rules)).toEqual(rules);
      expect(await storedRules()).toMatchObject([{ region_mode: 'enforce', code: 'US' }]);
    }
  });
});
