import { describe, it } from 'vitest';

import { DAY_MS, TestClock } from '../../support/clock.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { pastOf } from '../../support/time-travel.ts';
import { STEPS } from './dying-image.ts';
import { type Promised, raceSteps } from './race-steps.ts';

describe(
  'pulls that keep what they pulled, against every step of garbage collection',
  { timeout: 120_000 },
  () => {
    it('I13: what was found by requireAvailable stays for 300 s', async ({ expect }) => {
      const tally = await raceSteps(
        {
          needs: 'manifest',
          async run({ clock, repository, image }, gate): Promise<Promised | null> {
            const { registry } = openTestRegistry({ clock, gate });
            const found = await registry.lookupManifestByDigest(repository, image.digest, {
              allowDead: true,
              requireAvailable: true,
            });
            return found && { repository, manifests: [found.digest] };
          },
        },
        expect,
        STEPS,
      );
      expect(tally.kept).toBeGreaterThan(1);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it('I13: a pull of the past, by a clock by which it is still within the window', async ({
      expect,
    }) => {
      const tally = await raceSteps(
        {
          needs: 'tag',
          windowSec: 86_400,
          async run({ clock, repository, image }, gate): Promise<Promised | null> {
            const late = new TestClock();
            late.set(clock.nowMs() - 1);
            const past = pastOf(openTestRegistry({ clock: late, gate }), repository);
            const found = (await past('v1', clock.nowMs() - DAY_MS - 1))?.found ?? null;
            expect(found?.tag.manifestDigest ?? image.digest).toBe(image.digest);
            return found && { repository, manifests: [image.digest] };
          },
        },
        expect,
        STEPS,
      );
      expect(tally.kept).toBeGreaterThan(1);
      expect(tally.refused).toBeGreaterThan(2);
    });
  },
);
