import { select } from '../../../support/stage.ts';
import { instantOf } from './answers.ts';
import { imageAt } from './generation.ts';
import { imageOf, ofRegistry, outcomeOf, rowOf } from './outcome.ts';
import type { Question } from './questions.ts';
import { manifestOf, nameOf, type World } from './world.ts';

/** What the registry has and answers, in the words of the model. */

/** All rows of the table of tags, and the generation of the set of them. */
export async function readTable(world: World) {
  const rows = await select(
    `SELECT t.*, m.digest, r.tags_generation FROM repository r
      LEFT JOIN tag t ON t.repository_id = r.id LEFT JOIN manifest m ON m.id = t.manifest_id
    WHERE r.id = ? ORDER BY t.id`,
    world.stage.repository.id,
  );
  return {
    generation: Number(rows[0]?.['tags_generation']),
    rows: rows
      .filter((row) => row['id'] !== null)
      .map((row) => ({
        id: rowOf(Number(row['id']), world),
        name: row['hidden'] === 1 ? null : row['name'],
        image: imageOf(String(row['digest']), world),
        startMs: row['lifetime_start_ms'],
        endMs: row['lifetime_end_ms'],
        isCurrent: row['is_current'] === 1,
        reversion: row['reversion'] === 1,
        immutable: row['immutable'] === 1,
      })),
  };
}

/** What the reading methods answer. */
export async function answersOf(question: Question, world: World): Promise<unknown> {
  const { registry, settleDeferred } = world.registry;
  const { repository } = world.stage;
  const { limit, image } = question;
  const name = nameOf(question.nameKey, world);
  const names = question.names.map((key) => nameOf(key, world));
  const { digest } = imageAt(world.images, image);
  const manifest = await manifestOf(image, world);
  const inWords = (value: unknown) => ofRegistry(value, world);
  const find = (options: object) => registry.lookupManifestByDigest(repository, digest, options);
  const starts = await registry.getMostRecentTagLifetimeStart([repository]);
  const answers = {
    tag: outcomeOf(() => registry.getRepoTag(repository, name, { raiseOnError: true }), asIs),
    matching: registry.findMatchingTag(repository, names),
    mostRecent: registry.getMostRecentTag(repository),
    mostRecentSec: starts.get(repository.id) ?? null,
    hasExpired: registry.hasExpiredTag(repository, name),
    page: registry.lookupActiveRepositoryTags(repository, name, limit),
    cachedPage: registry.lookupCachedActiveRepositoryTags(repository, null, limit),
    all: registry.listAllActiveRepositoryTags(repository),
    history: outcomeOf(() => historyOf(question, world), asIs),
    namesOfImage: registry.tagNamesForManifest(manifest, null),
    firstNamesOfImage: registry.tagNamesForManifest(manifest, limit),
    visible: find({}),
    hidden: find({ allowHidden: true }),
    stored: find({ allowDead: true }),
  };
  const answered = await Promise.all(
    Object.entries(answers).map(async ([key, value]) => [key, inWords(await value)] as const),
  );
  await settleDeferred();
  return Object.fromEntries(answered);
}

function asIs(value: unknown): unknown {
  return value;
}

/** One page by its number, and all pages by cursor. */
async function historyOf({ history, page, size }: Question, world: World) {
  const { registry } = world.registry;
  const { specific, since, ...filters } = history;
  const options = {
    ...filters,
    ...(specific === undefined ? {} : { specificTagName: nameOf(specific, world) }),
    ...(since === undefined
      ? {}
      : { sinceMs: (instantOf(since, world.state) ?? 0) + since.offsetMs }),
    size,
  };
  const read = async (more: { readonly page?: number; readonly cursor?: string }) =>
    registry.listRepositoryTagHistory(world.stage.repository, { ...options, ...more });
  const { items, hasMore } = await read({ page });
  const pages = [];
  for (let next: { readonly cursor?: string } | null = {}; next !== null;) {
    const { cursor, ...rest } = await read(next);
    pages.push(rest);
    next = cursor === undefined ? null : { cursor };
  }
  return { byNumber: { items, hasMore }, pages };
}
