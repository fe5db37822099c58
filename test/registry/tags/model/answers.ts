import { MINUTE_MS } from '../../../support/clock.ts';
import type { Generation, NamedGeneration } from './generation.ts';
import { isVisible } from './generation.ts';
import { ofModel } from './outcome.ts';
import type { Question } from './questions.ts';
import type { Reach, TagState } from './state.ts';
import type { Edge } from './steps.ts';
import { nameOf, nthOf, type World } from './world.ts';

/** What the reading methods should answer. */

export function expectedAnswers(question: Question, world: World, generation: number): unknown {
  const { state, keptPages } = world;
  const { alive } = state;
  const name = nameOf(question.nameKey, world);
  const tag = state.aliveOf(name);
  const matching = question.names.map((key) => state.aliveOf(nameOf(key, world)));
  const [mostRecent = null] = alive.toSorted(byHistory);
  const later = alive.filter((row) => row.name > name);
  const { limit, image } = question;
  const namesOfImage = alive.filter((row) => row.image === image).map((row) => row.name);
  const find = (reach: Reach) => (state.isAvailable(image, reach) ? { image } : null);
  return ofModel({
    tag: tag === null ? { refused: { code: 'TagNotFound', tagName: name } } : { value: tag },
    matching: matching.find((row) => row !== null) ?? null,
    mostRecent,
    mostRecentSec: mostRecent === null ? null : Math.floor(mostRecent.startMs / 1000),
    hasExpired: state.rows.some(
      (row) => row.name === name && row.endMs !== null && row.endMs <= state.nowMs,
    ),
    page: cut(later.map(toShallow), limit),
    cachedPage: keptPages.serve(limit, {
      page: cut(alive.map(toShallow), limit),
      generation,
      nowMs: state.nowMs,
      earliestEndMs: earliestEnd(alive.slice(0, limit + 1)),
    }),
    all: alive,
    history: expectedHistory(question, world),
    namesOfImage,
    firstNamesOfImage: namesOfImage.slice(0, limit),
    visible: find('visible'),
    hidden: find('hidden'),
    stored: find('stored'),
  });
}

function expectedHistory({ history, page, size }: Question, world: World) {
  const { specific, activeTagsOnly = false, since, filterTagName = 'like:' } = history;
  const { state } = world;
  const [, operator, text = ''] = /^(eq|like):(.*)$/.exec(filterTagName) ?? [];
  if (operator === undefined) {
    return { refused: { code: 'InvalidFilter' } };
  }
  const sinceMs = since === undefined ? null : (instantOf(since, state) ?? 0) + since.offsetMs;
  const rows = state.rows
    .filter(isVisible)
    .filter((row) => !activeTagsOnly || state.isAlive(row))
    .filter(({ name }) => specific === undefined || name === nameOf(specific, world))
    .filter(({ name }) =>
      operator === 'eq' ? name === text : name.toLowerCase().includes(text.toLowerCase()),
    )
    .filter(({ startMs, endMs }) =>
      sinceMs === null ? true : startMs > sinceMs || (endMs !== null && endMs > sinceMs),
    )
    .toSorted(byHistory);
  const pages = [];
  for (let from = 0; from === 0 || from < rows.length; from += size) {
    pages.push(cut(rows.slice(from), size));
  }
  return { value: { byNumber: cut(rows.slice(size * (page - 1)), size), pages } };
}

/** A moment at which something happens to one of the rows, or the start of a row without end. */
export function instantOf(
  { nth, edge }: { readonly nth: number; readonly edge: Edge },
  { rows, windowMs }: TagState,
): number | null {
  const row = nthOf(edge === 'start' ? rows : rows.filter(({ endMs }) => endMs !== null), nth);
  if (row === null) {
    return null;
  }
  const endMs = row.endMs ?? row.startMs;
  const instants = {
    start: row.startMs,
    'end - 1': endMs - 1,
    end: endMs,
    'end + window - 1': endMs + windowMs - 1,
    'end + window': endMs + windowMs,
  } as const satisfies Record<Edge, number>;
  return instants[edge];
}

/** How far the clock of one edge may be behind that of another. */
export const SKEW_MS = 10 * MINUTE_MS;

function toShallow({ id, name }: NamedGeneration) {
  return { id, name };
}

function cut<Item>(items: readonly Item[], limit: number) {
  return { items: items.slice(0, limit), hasMore: items.length > limit };
}

function earliestEnd(rows: readonly Generation[]): number | null {
  const ends = rows.map(({ endMs }) => endMs).filter((endMs) => endMs !== null);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Newest start first, then by name, newest row first. */
function byHistory(one: NamedGeneration, other: NamedGeneration): number {
  if (one.startMs !== other.startMs) {
    return other.startMs - one.startMs;
  }
  if (one.name !== other.name) {
    return one.name < other.name ? -1 : 1;
  }
  return other.id - one.id;
}
