import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { anImage, anIndex, pushTagged } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { descriptorOf } from '../../support/stage.ts';
import { type DyingImage, siblingOf } from './dying-image.ts';
import { type Promised, raceSteps, type Use } from './race-steps.ts';

/** Pushes a manifest under a tag of its own. */
const pushing =
  (manifestOf: (dying: DyingImage) => Promise<ParsedManifest> | ParsedManifest) =>
  async (dying: DyingImage, gate?: Gate): Promise<Promised> => {
    const { clock, repository } = dying;
    const manifest = await manifestOf(dying);
    const registry = openTestRegistry({ clock, ...(gate && { gate }) });
    await pushTagged(registry, repository, { tagName: 'next', manifest });
    return { repository, manifests: [manifest.digest] };
  };

/** A push as it is, and again after all blobs, and what else there was, were pushed again. */
const pushOf = (
  manifestOf: (dying: DyingImage) => Promise<ParsedManifest> | ParsedManifest,
): Pick<Use, 'run' | 'retry'> => ({
  run: pushing(manifestOf),
  async retry(dying) {
    await dying.uploadAgain();
    await pushTagged(dying.world, dying.repository, { tagName: 'v1', manifest: dying.image });
    return pushing(manifestOf)(dying);
  },
});

const moveTo = async ({ clock, repository, manifest }: DyingImage, gate?: Gate) => {
  const { registry } = openTestRegistry({ clock, ...(gate && { gate }) });
  await registry.retargetTag(repository, 'next', manifest);
  return { repository, manifests: [manifest.digest] };
};

const pushByDigest = async (dying: DyingImage, gate?: Gate): Promise<Promised> => {
  const { clock, repository, image } = dying;
  const { registry } = openTestRegistry({ clock, ...(gate && { gate }) });
  await registry.createManifestWithTempTag(repository, image, 300, { raiseOnError: true });
  return { repository, manifests: [image.digest] };
};

describe(
  'pushes of manifests against every step of garbage collection',
  { timeout: 120_000 },
  () => {
    it('I-FK: a new manifest over the blobs', async ({ expect }) => {
      const tally = await raceSteps(
        { needs: 'blobs', refusal: 'BlobUnknown', ...pushOf((dying) => siblingOf(dying)) },
        expect,
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it('I-MAN: the same manifest again', async ({ expect }) => {
      const tally = await raceSteps(
        { needs: 'blobs', refusal: 'BlobUnknown', ...pushOf(({ image }) => image) },
        expect,
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it('I-MAN: an index over it', async ({ expect }) => {
      const tally = await raceSteps(
        {
          needs: 'manifest',
          refusal: 'BlobUnknown',
          ...pushOf(({ image }) => anIndex([image])),
        },
        expect,
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it('I-MAN: a tag that is moved to it', async ({ expect }) => {
      const tally = await raceSteps(
        {
          needs: 'manifest',
          refusal: 'RetargetFailed',
          run: moveTo,
          retry: async (dying) => {
            await dying.uploadAgain();
            return pushing(({ image }) => image)(dying);
          },
        },
        expect,
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it('I-BORN: a push by digest', async ({ expect }) => {
      const tally = await raceSteps(
        {
          needs: 'blobs',
          refusal: 'BlobUnknown',
          run: pushByDigest,
          retry: async (dying) => {
            await dying.uploadAgain();
            return pushByDigest(dying);
          },
        },
        expect,
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it('I12: a referrer, whether or not its subject is there still', async ({ expect }) => {
      let referrer: ParsedManifest | null = null;
      const tally = await raceSteps(
        {
          needs: 'nothing',
          async prepare({ world, repository, image }) {
            referrer = await anImage(world, repository, { subject: descriptorOf(image) });
          },
          async run({ clock, world, repository, image }, gate): Promise<Promised | null> {
            const { registry } = openTestRegistry({ clock, gate });
            if (referrer === null) {
              return null;
            }
            const options = { raiseOnError: true };
            await registry.createManifestWithTempTag(repository, referrer, 300, options);
            // Who asks after the push sees the subject for good, or never.
            const subject = await world.registry.lookupManifestByDigest(repository, image.digest, {
              allowDead: true,
            });
            return {
              repository,
              manifests: [referrer.digest],
              ...(subject && { blobs: image.localBlobDigests }),
            };
          },
        },
        expect,
      );
      expect(tally.refused).toBe(0);
    });

    it('I-OWN: a body that lies in R2, pushed again while the old one goes', async ({ expect }) => {
      const tally = await raceSteps(
        {
          needs: 'blobs',
          refusal: 'BlobUnknown',
          padding: 1_000_001,
          ...pushOf(({ image }) => image),
        },
        expect,
        ['tags', 'manifests', 'leases', 'blobs', 'drain'],
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });
  },
);
