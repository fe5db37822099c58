import { describe, it } from 'vitest';

import { GC_LEASE_MS } from '../../../src/model/limits.ts';
import { losing } from '../../support/lost-answers.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { select } from '../../support/stage.ts';

const leases = () => select('SELECT * FROM gc_lease');

describe('a lease of housekeeping', () => {
  it('lets one run of a name in, and runs of other names', async ({ expect }) => {
    const { housekeeping } = openTestRegistry();
    const outcome = await housekeeping.withGarbageLease('drain', async () => ({
      same: await housekeeping.withGarbageLease('drain', async () => 'in'),
      other: await housekeeping.withGarbageLease('expire', async () => 'in'),
    }));
    expect(outcome).toEqual({ result: { same: null, other: { result: 'in' } } });
    expect(await leases()).toEqual([]);
    expect(await housekeeping.withGarbageLease('drain', async () => 1)).toEqual({ result: 1 });
  });

  it('is given back when the work fails', async ({ expect }) => {
    const { housekeeping } = openTestRegistry();
    const failed = housekeeping.withGarbageLease('drain', () => Promise.reject(new Error('no')));
    await expect(failed).rejects.toThrow('no');
    expect(await leases()).toEqual([]);
  });

  it('lapses when its holder dies, and the late holder does not give back the next one', async ({
    expect,
  }) => {
    const { clock, housekeeping } = openTestRegistry();
    const outcome = await housekeeping.withGarbageLease('drain', async () => {
      clock.advance(GC_LEASE_MS - 1);
      const early = await housekeeping.withGarbageLease('drain', async () => 'in');
      clock.advance(1);
      const late = await housekeeping.withGarbageLease('drain', async () => 'in');
      return { early, late };
    });
    expect(outcome?.result).toEqual({ early: null, late: { result: 'in' } });

    let taken = await leases();
    await housekeeping.withGarbageLease('drain', async () => {
      const own = await leases();
      clock.advance(GC_LEASE_MS);
      const next = openTestRegistry({ clock }).housekeeping;
      void next.withGarbageLease('drain', () => new Promise(() => undefined));
      do {
        taken = await leases();
      } while (taken[0]?.['token'] === own[0]?.['token']);
    });
    expect(await leases()).toEqual(taken);
    expect(taken).toHaveLength(1);
  });

  it('is got though the answer to its taking is lost', async ({ expect }) => {
    const { gate } = losing(['committed, then lost']);
    const { housekeeping } = openTestRegistry({ gate });
    expect(await housekeeping.withGarbageLease('drain', async () => 1)).toEqual({ result: 1 });
    expect(await leases()).toEqual([]);
  });
});
