import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { HOUR_MS, MINUTE_MS } from '../../support/clock.ts';
import { findViolations } from '../../support/invariants.ts';
import { openStage, select, type Stage } from '../../support/stage.ts';
import { TagModel } from './model.ts';

const NAMES = ['a', 'b', 'c'];
/** The lifetimes of the tags of each image. */
const LIVES = [null, HOUR_MS, null];
const STEPS_MS = [-7 * MINUTE_MS, 0, 1, 10 * MINUTE_MS, HOUR_MS - 1, HOUR_MS];
const IMAGES = [...LIVES.keys()];

type Step =
  | { readonly kind: 'push'; readonly name: string; readonly image: number }
  | { readonly kind: 'keep'; readonly image: number; readonly sec: number }
  | { readonly kind: 'delete tag'; readonly name: string }
  | { readonly kind: 'delete image'; readonly image: number }
  | { readonly kind: 'advance'; readonly ms: number };

const name = fc.constantFrom(...NAMES);
const image = fc.constantFrom(...IMAGES);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('push'), name, image }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('keep'), image, sec: fc.constantFrom(60, 3600) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete tag'), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete image'), image }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('advance'), ms: fc.constantFrom(...STEPS_MS) }),
  },
);

interface Pair {
  readonly stage: Stage;
  readonly model: TagModel;
  readonly images: readonly ParsedManifest[];
}

/** Takes a step in both worlds and gives what each answered. */
async function take(taken: Step, { stage, model, images }: Pair): Promise<readonly unknown[]> {
  const { registry, repository, clock } = stage;
  const nowMs = clock.nowMs();
  switch (taken.kind) {
    case 'push': {
      const lifeMs = LIVES[taken.image] ?? null;
      model.push(taken.name, taken.image, { nowMs, lifeMs });
      await stage.push(taken.name, imageAt(images, taken.image));
      return [];
    }
    case 'keep': {
      model.keep(taken.image, { nowMs, endMs: nowMs + taken.sec * 1000 });
      const parsed = imageAt(images, taken.image);
      await registry.createManifestWithTempTag(repository, parsed, taken.sec);
      return [];
    }
    case 'delete tag': {
      const deleted = await registry.deleteTag(repository, taken.name);
      return [model.deleteTag(taken.name, nowMs), deleted !== null];
    }
    case 'delete image': {
      const { digest } = imageAt(images, taken.image);
      const manifest = await registry.lookupManifestByDigest(repository, digest, {
        allowDead: true,
      });
      const names = model.deleteImage(taken.image, nowMs);
      const deleted = manifest && (await registry.deleteTagsForManifest(manifest));
      return [names, deleted?.tags.map((tag) => tag.name) ?? []];
    }
    case 'advance':
      clock.advance(taken.ms);
      return [];
  }
}

function imageAt(images: readonly ParsedManifest[], at: number): ParsedManifest {
  const found = images[at];
  if (found === undefined) {
    throw new Error(`no image ${at}`);
  }
  return found;
}

/** All that the registry answers about its tags. */
async function answersOf({ stage, images }: Pair) {
  const { registry, repository } = stage;
  const available = async (options: object) => {
    const found = images.map(({ digest }) =>
      registry.lookupManifestByDigest(repository, digest, options),
    );
    return (await Promise.all(found)).map((manifest) => manifest !== null);
  };
  const cached = await registry.lookupCachedActiveRepositoryTags(repository, null, 100);
  await stage.settleDeferred();
  const first = await registry.lookupActiveRepositoryTags(repository, null, 1);
  const rest = await registry.lookupActiveRepositoryTags(
    repository,
    first.items[0]?.name ?? null,
    100,
  );
  const found = await Promise.all(NAMES.map((each) => registry.getRepoTag(repository, each)));
  return {
    names: found.filter((tag) => tag !== null).map((tag) => tag.name as string),
    cached: cached.items.map((tag) => tag.name as string),
    pages: [...first.items, ...(first.hasMore ? rest.items : [])].map((tag) => tag.name as string),
    expired: await Promise.all(NAMES.map((each) => registry.hasExpiredTag(repository, each))),
    visible: await available({}),
    hidden: await available({ allowHidden: true }),
    rows: (
      await select(
        `SELECT t.*, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest_id ORDER BY t.id`,
      )
    ).map((row) => ({
      name: row['hidden'] === 1 ? null : row['name'],
      image: images.findIndex(({ digest }) => digest === row['digest']),
      startMs: row['lifetime_start_ms'],
      endMs: row['lifetime_end_ms'],
      isCurrent: row['is_current'] === 1,
    })),
  };
}

function expectedOf({ stage, model }: Pair) {
  const nowMs = stage.clock.nowMs();
  const names = model.names(nowMs);
  return {
    names,
    cached: names,
    pages: names,
    expired: NAMES.map((each) => model.hasExpired(each, nowMs)),
    visible: IMAGES.map((each) => model.isAvailable(each, nowMs, { hidden: false })),
    hidden: IMAGES.map((each) => model.isAvailable(each, nowMs, { hidden: true })),
    rows: model.rows,
  };
}

describe('any sequence of pushes, deletes and moments', () => {
  it('I1 to I5, I14 to I16, I20, I21: leaves the tags that the rules of lifetimes say', async ({
    expect,
  }) => {
    const stage = await openStage();
    const images: ParsedManifest[] = [];
    for (const life of LIVES) {
      const labels = life === null ? {} : { 'quay.expires-after': '1h' };
      images.push(await stage.image({ labels }));
    }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        await stage.clear();
        const pair = { stage, model: new TagModel(), images };
        for (const each of steps) {
          const [expected, answered] = await take(each, pair);
          expect(answered).toEqual(expected);
          expect(await answersOf(pair)).toEqual(expectedOf(pair));
        }
        expect(await findViolations()).toEqual([]);
      }),
      { seed: 20_261_124, numRuns: 15, plugins: [fc.interruptAfterTimeLimit(20_000)] },
    );
  });
});
