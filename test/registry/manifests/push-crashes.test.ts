import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openStage, select, type Stage } from '../../support/stage.ts';

const pushes: Readonly<
  Record<string, (stage: Stage, manifest: ParsedManifest, gate?: Gate) => Promise<unknown>>
> = {
  'by tag': (stage, manifest, gate) => stage.push('latest', manifest, gate),
  'by digest': (stage, manifest, gate) => {
    const registry = gate === undefined ? stage.registry : stage.behind(gate);
    return registry.createManifestWithTempTag(stage.repository, manifest, 3600, {
      raiseOnError: true,
    });
  },
};

describe('a push that dies anywhere', () => {
  it.for(Object.entries(pushes))(
    'I6, I8: %s did nothing or all of it, and succeeds when it is sent again',
    async ([, push], { expect }) => {
      const stage = await openStage();
      const points = await crashEverywhere(async () => {
        await stage.clear();
        const image = await stage.image({
          labels: { maintainer: 'acme', 'quay.expires-after': '1d' },
        });
        const before = await stage.generation();
        return {
          operation: (gate) => push(stage, image, gate),
          check: async (point) => {
            const manifests = await select('SELECT id FROM manifest');
            const labels = await select('SELECT id FROM manifest_label');
            const tags = await select('SELECT hidden FROM tag');
            const done = manifests.length;
            expect([labels.length, tags.length], JSON.stringify(point)).toEqual([2 * done, done]);
            const isVisible = tags.some(({ hidden }) => hidden === 0);
            expect(await stage.generation()).toBe(before + (isVisible ? 1 : 0));
            expect(await findViolations()).toEqual([]);

            await push(stage, image);
            const found = await stage.registry.lookupManifestByDigest(
              stage.repository,
              image.digest,
              { allowHidden: true },
            );
            expect(found?.bytes).toEqual(image.bytes);
            expect(await select('SELECT id FROM manifest_label')).toHaveLength(2);
            expect(await findViolations()).toEqual([]);
          },
        };
      });
      expect(points.some(({ when, call }) => when === 'after' && call.store === 'd1')).toBe(true);
      expect(points).toHaveLength(6);
    },
  );

  it('I-OWN: leaves no body in R2 that no row names', async ({ expect }) => {
    const stage = await openStage();
    let orphansSeen = 0;
    const points = await crashEverywhere(async () => {
      await stage.clear();
      const image = await stage.image({ padding: 1_000_001 });
      return {
        operation: (gate) => stage.push('latest', image, gate),
        check: async (point) => {
          expect(await findViolations(), JSON.stringify(point)).toEqual([]);
          const waiting = await select('SELECT object_key AS key FROM r2_tombstone');
          for (const { key } of waiting) {
            orphansSeen += (await env.BUCKET.head(String(key))) === null ? 0 : 1;
          }
          const { manifest } = await stage.push('latest', image);
          expect(manifest.bytes).toEqual(image.bytes);
          const { tag } = await stage.push('again', image);
          const read = await stage.registry.getManifestForTag(tag);
          expect(read?.bytes).toEqual(image.bytes);
          expect(await findViolations(), JSON.stringify(point)).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(10);
    expect(orphansSeen).toBeGreaterThan(0);
  });
});
