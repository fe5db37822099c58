import { describe, it } from 'vitest';

import { pushBlob, pushTagged, streamOf } from '../../support/content.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { anUpload, chunkOf, closingAs, nameOf } from '../../support/uploads.ts';
import { siblingOf } from './dying-image.ts';
import { type Promised, raceSteps, type Use } from './race-steps.ts';

const HOUR_SEC = 3600;

const uploadWhole: Use = {
  needs: 'nothing',
  async run({ clock, repository, layer }, gate) {
    const { operations } = openTestRegistry({ clock, gate });
    const blob = await operations.uploadWhole(nameOf(repository), {
      digest: layer.digest,
      body: streamOf(layer.bytes),
      length: layer.bytes.byteLength,
    });
    return blob && { repository, blobs: [layer.digest] };
  },
};

describe(
  'what makes a blob stay, against every step of garbage collection',
  { timeout: 120_000 },
  () => {
    it('I-LEASE, I-BLOB: an upload in one request is never lost, nor refused', async ({
      expect,
    }) => {
      const tally = await raceSteps(uploadWhole, expect);
      expect(tally.refused).toBe(0);
      expect(tally.kept).toBeGreaterThan(12);
    });

    it('I-KEY: nor by the drain of the object that was there before', async ({ expect }) => {
      const tally = await raceSteps(uploadWhole, expect, ['drain']);
      expect(tally.refused).toBe(0);
      expect(tally.kept).toBeGreaterThan(12);
    });

    it('I-LEASE, I-BLOB: the commit of a chunked upload is never lost, nor refused', async ({
      expect,
    }) => {
      let uploadId = '';
      const tally = await raceSteps(
        {
          needs: 'nothing',
          async prepare({ world, repository, layer }) {
            const upload = await anUpload(world, repository);
            ({ uploadId } = upload);
            await world.operations.appendChunk(nameOf(repository), uploadId, chunkOf(layer.bytes));
          },
          async run({ clock, repository, layer }, gate): Promise<Promised | null> {
            const { operations } = openTestRegistry({ clock, gate });
            const closing = closingAs(layer.digest);
            const blob = await operations.finishUpload(nameOf(repository), uploadId, closing);
            return blob && { repository, blobs: [layer.digest] };
          },
        },
        expect,
      );
      expect(tally.refused).toBe(0);
      expect(tally.schedules).toBeGreaterThan(3);
    });

    it('I-LEASE, I-BLOB: a mount leases what is there, or says that it is not', async ({
      expect,
    }) => {
      const tally = await raceSteps(
        {
          needs: 'any blob',
          async run({ clock, elsewhere, layer, blob }, gate): Promise<Promised | null> {
            const { registry } = openTestRegistry({ clock, gate });
            const isMounted =
              blob !== null && (await registry.mountBlobIntoRepository(blob, elsewhere, HOUR_SEC));
            return isMounted ? { repository: elsewhere, blobs: [layer.digest] } : null;
          },
          async retry({ world, elsewhere, layer }) {
            await pushBlob(world, elsewhere, layer.bytes);
            return { repository: elsewhere, blobs: [layer.digest] };
          },
        },
        expect,
      );
      expect(tally.kept).toBeGreaterThan(3);
      expect(tally.refused).toBeGreaterThan(0);
    });

    it("I-LEASE: after a pusher's HEAD the image is pushed without an upload", async ({
      expect,
    }) => {
      const headed: Use = {
        needs: 'blobs',
        async run({ clock, repository, image }, gate) {
          const { operations } = openTestRegistry({ clock, gate });
          for (const digest of image.localBlobDigests) {
            const resolved = await operations.resolveBlobForPush(nameOf(repository), digest);
            if (resolved === null || resolved.blob === null) {
              return null;
            }
          }
          return { repository, blobs: image.localBlobDigests };
        },
        async retry({ uploadAgain, repository, image }) {
          await uploadAgain();
          return { repository, blobs: image.localBlobDigests };
        },
      };
      const blobsKept = await raceSteps(headed, expect);
      expect(blobsKept.kept).toBeGreaterThan(3);
      expect(blobsKept.refused).toBeGreaterThan(0);

      const pushed = await raceSteps(
        {
          ...headed,
          async run(dying, gate) {
            const found = await headed.run(dying, gate);
            if (found === null) {
              return null;
            }
            const { clock, repository } = dying;
            const sibling = await siblingOf(dying);
            await pushTagged(openTestRegistry({ clock, gate }), repository, {
              tagName: 'next',
              manifest: sibling,
            });
            return { repository, manifests: [sibling.digest] };
          },
        },
        expect,
      );
      expect(pushed.kept).toBeGreaterThan(3);
    });
  },
);
