import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { ManifestInfo } from '../../src/model/references.ts';
import { anImage, anIndex, pushTagged } from '../support/content.ts';
import { costOf, fillTags, openWorlds, type Scene, type World } from '../support/costs.ts';
import { printTable } from '../support/table.ts';
import { TAG_CHANGES } from './tag-changes.ts';

/**
 * What each method of tags, manifests and labels reads and writes in repositories of a hundred, ten thousand and a
 * hundred thousand tags, and where a name has a thousand generations. Run it to see the table.
 */
const FILLINGS = [
  { column: '100 tags', tags: 100, generations: 160 },
  { column: '10,000', tags: 10_000, generations: 160 },
  { column: '100,000', tags: 100_000, generations: 160 },
  { column: '1,000 generations', tags: 100, generations: 1000 },
] as const;

/** How many tags are alive in a repository, and how many visible generations there are. */
interface Filling {
  readonly alive: number;
  readonly generations: number;
}

/** A number holds in every world and is the same in all; a function says how it grows. */
type Bound = number | ((filling: Filling) => number);

interface Budget {
  readonly roundTrips: Bound;
  readonly rowsRead: Bound;
  readonly rowsWritten?: number;
}

/** The size of a page, smaller than what there is of anything. */
const PAGE = 50;
/** How many tags beside `latest` and `moved` are on their manifest. */
const STABLE = 2 * PAGE;
/** `moved` has a generation from each of so many milliseconds, after all of the filling's. */
const MOVED_FROM_MS = 1_000_000;
const MOVED_STEP_MS = 10;

/** Beside the filling: `moved` with its generations, and names enough on one manifest. */
async function openFilledWorlds(): Promise<readonly World[]> {
  const worlds = await openWorlds(FILLINGS.length);
  for (const [at, world] of worlds.entries()) {
    const { tags, generations } = FILLINGS[at] ?? FILLINGS[0];
    await fillTags(world, tags);
    const latest = await world.registry.registry.getRepoTag(world.repository, 'latest');
    const insert = (name: string, traits: string, count: number) =>
      env.DB.prepare(
        `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1)
        INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
          is_current)
        SELECT ?2, ${name}, ?3, ${traits} FROM counted`,
      ).bind(count, world.repository.id, latest?.manifest.id);
    const start = `${MOVED_FROM_MS} + n * ${MOVED_STEP_MS}`;
    const end = `CASE WHEN n < ?1 THEN ${start} + ${MOVED_STEP_MS} END`;
    await env.DB.batch([
      insert(`'moved'`, `${start}, ${end}, n = ?1`, generations),
      insert(`'stable-' || n`, `900000, NULL, 1`, STABLE),
    ]);
  }
  return worlds;
}

async function fillingOf({ repository }: World): Promise<Filling> {
  const filling = await env.DB.prepare(
    `SELECT sum(is_current) AS alive, count(*) AS generations FROM tag
    WHERE repository_id = ? AND hidden = 0`,
  )
    .bind(repository.id)
    .first<Filling>();
  if (filling === null) {
    throw new Error('nothing was counted');
  }
  return filling;
}

const boundOf = async (bound: Bound, world: World): Promise<number> =>
  typeof bound === 'number' ? bound : bound(await fillingOf(world));

type Registry = World['registry']['registry'];

/** A call of a method on the filling as it is. */
const call =
  (run: (registry: Registry, world: World) => Promise<unknown>): Scene =>
  async (world) =>
  ({ registry }) =>
    run(registry, world);

type HistoryOptions = NonNullable<Parameters<Registry['listRepositoryTagHistory']>[1]>;

const history = (options: HistoryOptions = {}): Scene =>
  call((registry, { repository }) =>
    registry.listRepositoryTagHistory(repository, { size: PAGE, ...options }),
  );

/** The page after the cursor that the page of this number gives. */
const historyAfter =
  (page: Bound, options: HistoryOptions = {}): Scene =>
  async (world) => {
    const { cursor = '' } = await world.registry.registry.listRepositoryTagHistory(
      world.repository,
      { ...options, size: PAGE, page: await boundOf(page, world) },
    );
    return history({ ...options, cursor })(world);
  };
/** Numbers of pages that are far from the newest generations, and not the last. */
const nearTheEnd: Bound = ({ generations }) => Math.floor(generations / PAGE) - 2;
const nearTheEndOfAlive: Bound = ({ alive }) => Math.floor(alive / PAGE) - 2;

/** The time of ten moves ago; ten generations have started since, and eleven ended. */
const tenMovesAgo = async ({ registry, repository }: World): Promise<number> => {
  const tag = await registry.registry.getRepoTag(repository, 'moved');
  return (tag?.lifetimeStartMs ?? 0) - 10 * MOVED_STEP_MS;
};

const historySince =
  (options: HistoryOptions = {}): Scene =>
  async (world) =>
    history({ ...options, sinceMs: await tenMovesAgo(world) })(world);

type LookupOptions = NonNullable<Parameters<Registry['lookupManifestByDigest']>[2]>;

const lookup =
  (options: LookupOptions = {}): Scene =>
  async (world) => {
    const { repository } = world;
    const { manifest } = await pushTagged(world.registry, repository, { tagName: 'looked-up' });
    return ({ registry }) => registry.lookupManifestByDigest(repository, manifest.digest, options);
  };

const lookupOfChild: Scene = async (world) => {
  const { registry, repository } = world;
  const child = await anImage(registry, repository);
  await registry.registry.createManifestWithTempTag(repository, child, 60);
  const index = await anIndex([child]);
  await pushTagged(registry, repository, { tagName: 'an-index', manifest: index });
  return (counted) => counted.registry.lookupManifestByDigest(repository, child.digest);
};

const manifestForTag: Scene = async ({ registry, repository }) => {
  const tag = await registry.registry.getRepoTag(repository, 'latest');
  return async (counted) => tag && counted.registry.getManifestForTag(tag);
};

const tagNames =
  (limit: number | null): Scene =>
  async ({ registry, repository }) => {
    const tag = await registry.registry.getRepoTag(repository, 'latest');
    return async (counted) => tag && counted.registry.tagNamesForManifest(tag.manifest, limit);
  };

const cachedPage: Scene = call((registry, { repository }) =>
  registry.lookupCachedActiveRepositoryTags(repository, null, PAGE),
);

/** The same call a second time. */
const again =
  (scene: Scene): Scene =>
  async (world) => {
    const operation = await scene(world);
    await operation(world.registry);
    await world.registry.settleDeferred();
    return operation;
  };

/** How many tags a manifest has that is given labels, and how many labels it has already. */
const LABELLED_TAGS = 3;
const LABELS = 5;

/** A call on a manifest of its own, with the last of its labels. */
const onLabelled =
  (
    run: (registry: Registry, manifest: ManifestInfo, labelUuid: string) => Promise<unknown>,
  ): Scene =>
  async ({ registry, repository }) => {
    const { manifest, parsed } = await pushTagged(registry, repository, {
      tagName: `labelled-${crypto.randomUUID()}`,
    });
    for (let tag = 1; tag < LABELLED_TAGS; tag += 1) {
      const tagName = `labelled-${crypto.randomUUID()}`;
      await pushTagged(registry, repository, { tagName, manifest: parsed });
    }
    const labels = await registry.registry.batchCreateManifestLabels(manifest, (add) => {
      for (let number = 0; number < LABELS; number += 1) {
        add(`key-${number}`, 'value', 'api');
      }
    });
    return (counted) => run(counted.registry, manifest, labels?.at(-1)?.uuid ?? '');
  };

const labelling = (key: string, value: string): Scene =>
  onLabelled((r, manifest) => r.createManifestLabel(manifest, key, value, 'internal'));

const once = (rowsRead: Bound): Budget => ({ roundTrips: 1, rowsRead });
const historyPage = once(2 * PAGE + 8);

/** Each method, on what, and what it may cost. A method that writes is one more row. */
const METHODS: readonly (readonly [string, Scene, Budget])[] = [
  [
    'lookupRepository',
    call((r, { name }) => r.lookupRepository(name.namespace, name.repository)),
    once(2),
  ],
  ['getRepoTag', call((r, { repository }) => r.getRepoTag(repository, 'moved')), once(2)],
  ['getRepoTag, none', call((r, { repository }) => r.getRepoTag(repository, 'none')), once(2)],
  ['hasExpiredTag', call((r, { repository }) => r.hasExpiredTag(repository, 'moved')), once(3)],
  [
    'hasExpiredTag, not',
    call((r, { repository }) => r.hasExpiredTag(repository, 'latest')),
    once(3),
  ],
  [
    'findMatchingTag, the last of 3',
    call((r, { repository }) => r.findMatchingTag(repository, ['none', 'nor', 'moved'])),
    once(2 * 3 + 2),
  ],
  ['getMostRecentTag', call((r, { repository }) => r.getMostRecentTag(repository)), once(2)],
  [
    'getMostRecentTagLifetimeStart of 2',
    call((r, { repository }) =>
      r.getMostRecentTagLifetimeStart([repository, { ...repository, id: 0 }]),
    ),
    once(2 * 2 + 1),
  ],
  [
    'lookupActiveRepositoryTags',
    call((r, { repository }) => r.lookupActiveRepositoryTags(repository, 'x', PAGE)),
    once(PAGE + 1),
  ],
  ['lookupCachedActiveRepositoryTags', cachedPage, { roundTrips: 2, rowsRead: PAGE + 8 }],
  ['lookupCachedActiveRepositoryTags, again', again(cachedPage), once(4)],
  [
    'listAllActiveRepositoryTags',
    call((r, { repository }) => r.listAllActiveRepositoryTags(repository)),
    {
      roundTrips: ({ alive }) => Math.floor(alive / 1000) + 1,
      rowsRead: ({ alive }) => 2 * alive + 1,
    },
  ],
  ['listRepositoryTagHistory', history(), historyPage],
  ['… page 3', history({ page: 3 }), once(2 * PAGE + 2 * PAGE + 8)],
  ['… by cursor', historyAfter(nearTheEnd), historyPage],
  ['… active', history({ activeTagsOnly: true }), historyPage],
  ['… active, by cursor', historyAfter(nearTheEndOfAlive, { activeTagsOnly: true }), historyPage],
  ['… of a name', history({ specificTagName: 'moved' }), historyPage],
  ['… of a name, by cursor', historyAfter(2, { specificTagName: 'moved' }), historyPage],
  ['… of a name, active', history({ specificTagName: 'moved', activeTagsOnly: true }), once(2)],
  ['… since 20 changes', historySince(), once(3 * 20 + 8)],
  ['… since, active', historySince({ activeTagsOnly: true }), once(8)],
  ['… since, of a name', historySince({ specificTagName: 'moved' }), once(3 * 20 + 8)],
  [
    '… like, in all names',
    history({ filterTagName: 'like:%' }),
    once(({ generations }) => generations + 8),
  ],
  ['tagNamesForManifest', tagNames(PAGE), once(PAGE)],
  ['tagNamesForManifest, all', tagNames(null), once(STABLE + 2 + 1)],
  ['getManifestForTag', manifestForTag, once(1)],
  ['lookupManifestByDigest', lookup(), once(2)],
  ['… allowHidden', lookup({ allowHidden: true }), once(2)],
  ['… allowDead', lookup({ allowDead: true }), once(1)],
  ['… requireAvailable', lookup({ requireAvailable: true }), once(16)],
  ['… of a child', lookupOfChild, once(5)],
  ...TAG_CHANGES,
  ['createManifestLabel', labelling('key', 'value'), { ...once(15), rowsWritten: 4 }],
  [
    '… that ends 3 tags',
    labelling('quay.expires-after', '2h'),
    { ...once(20 + 9 * LABELLED_TAGS), rowsWritten: 8 + 3 * LABELLED_TAGS },
  ],
  [
    '… that locks 3 tags',
    labelling('quay.immutable', 'true'),
    { ...once(18 + 6 * LABELLED_TAGS), rowsWritten: 5 + LABELLED_TAGS },
  ],
  [
    'batchCreateManifestLabels of 3',
    onLabelled((r, manifest) =>
      r.batchCreateManifestLabels(manifest, (add) => {
        for (const key of ['one', 'other', 'third']) {
          add(key, 'value', 'api');
        }
      }),
    ),
    { ...once(10 + 5 * 3), rowsWritten: 4 * 3 },
  ],
  ['listManifestLabels', onLabelled((r, m) => r.listManifestLabels(m)), once(2 * LABELS)],
  ['… by prefix', onLabelled((r, m) => r.listManifestLabels(m, 'key-1')), once(LABELS + 1)],
  ['getManifestLabel', onLabelled((r, m, uuid) => r.getManifestLabel(m, uuid)), once(1)],
  [
    'deleteManifestLabel',
    onLabelled((r, m, uuid) => r.deleteManifestLabel(m, uuid)),
    { roundTrips: 2, rowsRead: 4, rowsWritten: 4 },
  ],
];

describe('the methods of tags and manifests', () => {
  it(
    'read as much in a large repository as in a small one, and no more than they may',
    { timeout: 120_000 },
    async ({ expect }) => {
      const worlds = await openFilledWorlds();
      const lines = [['method', 'round trips', ...FILLINGS.map(({ column }) => column)]];
      for (const [method, scene, budget] of METHODS) {
        const usages = [];
        for (const world of worlds) {
          const usage = await costOf(scene, world);
          usages.push(usage);
          const { roundTrips, rowsRead, rowsWritten = 0 } = budget;
          expect.soft(usage.d1RoundTrips, method).toBe(await boundOf(roundTrips, world));
          const rowsReadMax = await boundOf(rowsRead, world);
          expect.soft(usage.d1RowsRead, method).toBeLessThanOrEqual(rowsReadMax);
          expect.soft(usage.d1RowsWritten, method).toBeLessThanOrEqual(rowsWritten);
        }
        const rows = usages.map(({ d1RowsRead }) => d1RowsRead);
        if (typeof budget.rowsRead === 'number') {
          expect.soft(new Set(rows).size, `${method}: ${rows.join(', ')}`).toBe(1);
        }
        const trips = new Set(usages.map(({ d1RoundTrips }) => d1RoundTrips));
        lines.push([method, [...trips].join(' / '), ...rows.map(String)]);
      }
      printTable(lines);
    },
  );
});
