import type { ParsedImage, ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { type Bytes, encodeUtf8 } from '../../../src/model/bytes.ts';
import type { Blob, Manifest } from '../../../src/model/datatypes.ts';
import type { Digest } from '../../../src/model/digest.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { GarbageBudget } from '../../../src/registry/garbage/budget.ts';
import {
  addCandidates,
  collectBlobs,
  collectLeases,
  collectManifests,
  collectTags,
  type Run,
} from '../../../src/registry/garbage/steps.ts';
import { Batch } from '../../../src/storage/d1/batch.ts';
import { DAY_MS, HOUR_MS, type TestClock } from '../../support/clock.ts';
import { parsed, pushBlob, pushTagged, uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { imageOf } from '../../support/images.ts';
import { aRepository, openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { execute, storeBlob } from '../../support/stage.ts';
import { forgetBlobs } from '../../support/uploads.ts';

/** The steps of garbage collection in their order, and what it is as a whole. */
export const STEPS = ['tags', 'manifests', 'leases', 'blobs', 'drain', 'whole'] as const;
export type StepName = (typeof STEPS)[number];

/** An image whose tag has ended beyond recovery and whose leases are over. */
export interface DyingImage {
  readonly world: TestRegistry;
  readonly clock: TestClock;
  readonly repository: RepositoryRef;
  readonly elsewhere: RepositoryRef;
  readonly image: ParsedImage;
  readonly manifest: Manifest;
  readonly layer: { readonly digest: Digest; readonly bytes: Bytes };
  /** The layer as somebody looked it up before collection began. */
  readonly blob: Blob | null;
  /** Puts the blobs of the image into a repository again, as a client whose push was refused. */
  readonly uploadAgain: (to?: RepositoryRef) => Promise<void>;
  /** The collector's next step, which stands before its first call. */
  readonly nextStep: (gate: Gate) => Promise<unknown>;
}

interface Plan {
  /** Which step is next; those before it are done. */
  readonly step: StepName;
  readonly windowSec?: number;
  readonly padding?: number;
}

/** Forgets all that schedules before this one left. */
async function forgetAll(): Promise<void> {
  for (const table of ['tag', 'manifest_child', 'manifest_blob', 'manifest', 'gc_removal']) {
    await execute(`DELETE FROM ${table}`);
  }
  await forgetBlobs();
}

export async function aDyingImage({ step, windowSec = 0, padding = 0 }: Plan): Promise<DyingImage> {
  await forgetAll();
  const world = openTestRegistry({ settings: { removedTagExpirationSec: windowSec } });
  const { clock } = world;
  const repository = await aRepository(world);
  const elsewhere = await aRepository(world);
  const contents = [
    encodeUtf8(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        rootfs: { type: 'layers', diff_ids: [] },
        unique: crypto.randomUUID(),
      }),
    ),
    uniqueBytes(),
  ] as const;
  const [config, layer] = await Promise.all([
    storeBlob(repository, contents[0]),
    storeBlob(repository, contents[1]),
  ]);
  const image = await imageOf('application/vnd.oci.image.manifest.v1+json', {
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        ...layer,
        annotations: { padding: ' '.repeat(padding) },
      },
    ],
  });
  const { manifest } = await pushTagged(world, repository, { tagName: 'v1', manifest: image });
  clock.advance(HOUR_MS);
  await world.registry.deleteTag(repository, 'v1');
  await execute('UPDATE repository_gc SET policy_s = ?', windowSec);
  clock.advance(windowSec * 1000);
  const blob = await world.registry.getRepoBlobByDigest(repository, layer.digest);
  const nextStep = await collector(repository, clock, step);
  return {
    world,
    clock,
    repository,
    elsewhere,
    image,
    manifest,
    layer: { digest: layer.digest, bytes: contents[1] },
    blob,
    uploadAgain: async (to = repository) => {
      for (const bytes of contents) {
        await pushBlob(world, to, bytes);
      }
    },
    nextStep,
  };
}

/** Does the steps before this one, and gives it. */
async function collector(repository: RepositoryRef, clock: TestClock, next: StepName) {
  const runBehind = (gate?: Gate): Run => {
    const { deps } = openTestRegistry({ clock, ...(gate && { gate }) });
    const limits = { statements: 10_000, repositories: 100, durationMs: DAY_MS };
    return { deps, budget: new GarbageBudget(limits, clock) };
  };
  const steps: Record<StepName, (gate?: Gate) => Promise<unknown>> = {
    tags: (gate) => collectTags(repository.id, runBehind(gate)),
    manifests: async (gate) => collectManifests((await listed()).manifestIds, runBehind(gate)),
    leases: (gate) => collectLeases(repository.id, runBehind(gate)),
    blobs: async (gate) => collectBlobs((await listed()).blobIds, runBehind(gate)),
    drain: (gate) =>
      openTestRegistry({ clock, ...(gate && { gate }) }).housekeeping.drainTombstones(),
    whole: async (gate) => {
      const { housekeeping } = openTestRegistry({ clock, ...(gate && { gate }) });
      await housekeeping.collectRepository(repository.id);
    },
  };
  if (next !== 'whole') {
    for (const done of STEPS.slice(0, STEPS.indexOf(next))) {
      await steps[done]();
    }
  }
  if (next === 'drain') {
    clock.advance(HOUR_MS);
  }
  // The lists are read before the race, so that the step is of one call.
  const candidates = await listed();
  const prepared: Partial<Record<StepName, (gate: Gate) => Promise<unknown>>> = {
    manifests: (gate) => collectManifests(candidates.manifestIds, runBehind(gate)),
    blobs: (gate) => collectBlobs(candidates.blobIds, runBehind(gate)),
  };
  return prepared[next] ?? steps[next];
}

async function listed() {
  const batch = new Batch();
  const read = addCandidates(batch);
  return read(await batch.run(openTestRegistry().deps.database.primary));
}

/** Another image of the same blobs. */
export function siblingOf({ image }: DyingImage, fields: object = {}): Promise<ParsedManifest> {
  const content = JSON.parse(new TextDecoder().decode(image.bytes)) as object;
  return parsed(image.mediaType, { ...content, ...fields, unique: crypto.randomUUID() });
}
