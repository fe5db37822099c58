import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { START_MS } from '../../support/clock.ts';
import { execute, openStage, type Stage } from '../../support/stage.ts';
import type { Generation, ModelImage } from './model/generation.ts';
import { deleteTag, keep, push } from './model/lifetimes.ts';
import { TagState } from './model/state.ts';

type Options = NonNullable<Parameters<Stage['registry']['listRepositoryTagHistory']>[1]>;

/** Few names, near each other in many ways, so that filters and ties meet. */
const NAMES = ['a', 'A', 'b', 'ab', 'a_b', 'a.b', 'B'];
const IMAGES = 3;
/** Steps of the clock in milliseconds; most generations start in the millisecond of another. */
const STEPS_MS = [0, 0, 0, 1, 2, -1];
const WINDOW_MS = 3;
const ROWS_MAX = 40;

/** An image without labels. */
const PLAIN: ModelImage = {
  digest: 'sha256:0',
  expiresAfter: null,
  immutable: null,
  hasSubject: false,
  children: [],
};

type Step =
  | { readonly kind: 'push'; readonly name: string; readonly lifeMs: number | null }
  | { readonly kind: 'keep'; readonly sec: number }
  | { readonly kind: 'delete'; readonly name: string };

const name = fc.constantFrom(...NAMES);
const image = fc.nat(IMAGES - 1);
const kind = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      name,
      lifeMs: fc.constantFrom(null, null, 1, 3, 100),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('keep' as const), sec: fc.constantFrom(0.002, 1) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
) satisfies fc.Arbitrary<Step>;

const steps = fc.array(fc.record({ step: kind, image, gapMs: fc.constantFrom(...STEPS_MS) }), {
  minLength: 1,
  maxLength: ROWS_MAX,
});
const text = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'b', '_', '.', '%', 'a_', 'a%b', '\\', 'é', '\u{212A}'),
  fc.string({ maxLength: 2 }),
);
const nameFilters = {
  specificTagName: name,
  filterTagName: fc.oneof(
    text.map((like) => `like:${like}`),
    fc.oneof(name, text).map((equal) => `eq:${equal}`),
  ),
};
const options = fc.record(
  {
    ...nameFilters,
    activeTagsOnly: fc.boolean(),
    sinceMs: fc.integer({ min: -1, max: 12 }).map((ms) => START_MS + ms),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Options>;
/** Whether these keep a row does not change while time passes. */
const lastingOptions = fc.record(nameFilters, { requiredKeys: [] }) as fc.Arbitrary<Options>;

interface Row extends Generation {
  readonly id: number;
  readonly name: string;
}

/** A history that has the rules of lifetimes, and the moment at which it stands. */
function historyOf(taken: readonly { step: Step; image: number; gapMs: number }[]): {
  readonly rows: readonly Generation[];
  readonly nowMs: number;
} {
  let nowMs: number = START_MS;
  const images = Array.from({ length: IMAGES }, () => PLAIN);
  const settings = {
    immutableTags: true,
    immutableTagsCanExpire: false,
    cosignCascade: true,
    resetChildManifestExpiration: false,
  };
  const state = new TagState(images, { nowMs: () => nowMs }, { settings, windowMs: WINDOW_MS });
  for (const { step, image, gapMs } of taken) {
    nowMs += gapMs;
    switch (step.kind) {
      case 'push': {
        const { tag } = push(state, step.name, image);
        const { lifeMs } = step;
        state.change(tag, { endMs: lifeMs === null ? null : tag.startMs + lifeMs });
        break;
      }
      case 'keep':
        keep(state, image, step.sec);
        break;
      case 'delete':
        deleteTag(state, step.name);
        break;
    }
  }
  return { rows: state.rows, nowMs };
}

/** As permanently deleted: what had ended within the window ends where that begins. */
function forget(rows: readonly Generation[], { name, nowMs }: { name: string; nowMs: number }) {
  const cutMs = nowMs - WINDOW_MS;
  return rows.map((row) =>
    row.name === name && row.endMs !== null && row.endMs <= nowMs && row.endMs > cutMs
      ? { ...row, endMs: cutMs, isCurrent: false }
      : row,
  );
}

const lower = (value: string) => value.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
const before = (one: string | number, other: string | number) => (one < other ? -1 : 1);

/** What a history should list: every rule by itself, over all rows. */
function expected(rows: readonly Row[], options: Options, nowMs: number): readonly number[] {
  const { specificTagName, activeTagsOnly, sinceMs, filterTagName } = options;
  const [, equal] = /^eq:(.*)$/s.exec(filterTagName ?? '') ?? [];
  const [, like] = /^like:(.*)$/s.exec(filterTagName ?? '') ?? [];
  return rows
    .filter((row) => specificTagName === undefined || row.name === specificTagName)
    .filter((row) => equal === undefined || row.name === equal)
    .filter((row) => like === undefined || lower(row.name).includes(lower(like)))
    .filter(
      (row) => !activeTagsOnly || (row.isCurrent && (row.endMs === null || row.endMs > nowMs)),
    )
    .filter(
      (row) => sinceMs === undefined || row.startMs > sinceMs || (row.endMs ?? -Infinity) > sinceMs,
    )
    .toSorted((one, other) =>
      one.startMs === other.startMs
        ? one.name === other.name
          ? other.id - one.id
          : before(one.name, other.name)
        : other.startMs - one.startMs,
    )
    .map(({ id }) => id);
}

/** A stage whose tags are replaced by others at once. */
async function aTagTable() {
  const stage = await openStage();
  const { repository } = stage;
  const manifestIds: number[] = [];
  for (let count = 0; count < IMAGES; count += 1) {
    manifestIds.push((await stage.push('latest', await stage.image())).manifest.id);
  }
  let lastId = 1000;
  return {
    ...stage,
    /** Gives the visible rows as they were stored. */
    async store(rows: readonly Generation[]): Promise<readonly Row[]> {
      const stored = rows.map((row) => {
        lastId += 1;
        return { ...row, id: lastId, manifestId: manifestIds[row.image] };
      });
      await execute('DELETE FROM tag');
      await execute(
        `INSERT INTO tag (id, repository_id, name, manifest_id, lifetime_start_ms,
          lifetime_end_ms, is_current, hidden)
        SELECT value ->> 'id', ?, coalesce(value ->> 'name', '$temp-' || (value ->> 'id')),
          value ->> 'manifestId', value ->> 'startMs', value ->> 'endMs', value ->> 'isCurrent',
          value ->> 'name' IS NULL FROM json_each(?)`,
        repository.id,
        JSON.stringify(stored),
      );
      return stored.flatMap((row) => (row.name === null ? [] : [{ ...row, name: row.name }]));
    },
    async page(options: Options) {
      const { items, ...rest } = await stage.registry.listRepositoryTagHistory(repository, options);
      return { ids: items.map(({ id }) => id), ...rest };
    },
    /** Every page from the first or from the cursor on; calls back between two pages. */
    async pages(options: Options, between: () => Promise<unknown> = async () => undefined) {
      const ids: number[] = [];
      let cursor = options.cursor;
      for (let hasMore = true; hasMore;) {
        const page = await this.page({ ...options, ...(cursor === undefined ? {} : { cursor }) });
        ids.push(...page.ids);
        if (ids.length > ROWS_MAX) {
          throw new Error('the pages do not end');
        }
        hasMore = page.hasMore;
        cursor = page.cursor;
        await between();
      }
      return ids;
    },
  };
}

const SEED = 20_261_124;

describe('pages of any history', () => {
  it('I16, I17, I21: by cursor and by number are one big page, which is what the rules say', async ({
    expect,
  }) => {
    const table = await aTagTable();
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          taken: steps,
          forgotten: fc.option(name),
          filters: fc.array(options, { minLength: 3, maxLength: 3 }),
          size: fc.integer({ min: 1, max: 7 }),
        }),
        async ({ taken, forgotten, filters, size }) => {
          const { rows: made, nowMs } = historyOf(taken);
          table.clock.set(nowMs);
          const rows = await table.store(
            forgotten === null ? made : forget(made, { name: forgotten, nowMs }),
          );
          for (const filter of [{}, ...filters]) {
            const ids = expected(rows, filter, nowMs);
            expect(await table.page({ ...filter, size: 1000 })).toEqual({ ids, hasMore: false });
            expect(await table.pages({ ...filter, size })).toEqual(ids);
            const number = Math.ceil(ids.length / size);
            const last = await table.page({ ...filter, size, page: Math.max(number, 1) });
            expect(last).toEqual({
              ids: ids.slice(size * Math.max(number - 1, 0)),
              hasMore: false,
            });
          }
        },
      ),
      { seed: SEED, numRuns: 60, plugins: [fc.interruptAfterTimeLimit(20_000)] },
    );
  });

  it('go on from a cursor with other filters, as from that place in the history', async ({
    expect,
  }) => {
    const table = await aTagTable();
    await fc.assert(
      fc.asyncProperty(
        fc.record({ taken: steps, filter: options, size: fc.integer({ min: 1, max: 9 }) }),
        async ({ taken, filter, size }) => {
          const { rows: made, nowMs } = historyOf(taken);
          table.clock.set(nowMs);
          const rows = await table.store(made);
          const { cursor, ids } = await table.page({ size });
          fc.pre(cursor !== undefined);
          const rest = expected(rows, filter, nowMs).filter((id) => !ids.includes(id));
          expect(await table.pages({ ...filter, size, cursor })).toEqual(rest);
          const second = await table.page({ ...filter, size, cursor, page: 2 });
          expect(second.ids).toEqual(rest.slice(size, 2 * size));
        },
      ),
      { seed: SEED, numRuns: 60, plugins: [fc.interruptAfterTimeLimit(20_000)] },
    );
  });

  it('by cursor have every generation once while tags are pushed and moved', async ({ expect }) => {
    const table = await aTagTable();
    const pushed = await table.image();
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          taken: steps,
          filter: lastingOptions,
          size: fc.integer({ min: 3, max: 9 }),
        }),
        async ({ taken, filter, size }) => {
          const { rows: made, nowMs } = historyOf(taken);
          // Later than all that was made, by a clock that may have gone back.
          table.clock.set(nowMs + STEPS_MS.length * 10);
          const rows = await table.store(made);
          let count = 0;
          const ids = await table.pages({ ...filter, size }, async () => {
            count += 1;
            table.clock.advance(1);
            await table.push(NAMES[count % NAMES.length] ?? 'a', pushed);
          });
          expect(ids).toEqual(expected(rows, filter, nowMs));
        },
      ),
      { seed: SEED, numRuns: 20, plugins: [fc.interruptAfterTimeLimit(20_000)] },
    );
  });
});
