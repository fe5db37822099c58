import { describe, it } from 'vitest';

import { DAY_MS, START_MS } from '../../support/clock.ts';
import { aReleaseStage, moveOf, RELEASER, stored } from '../../support/releases.ts';
import { select } from '../../support/stage.ts';

describe('listReleases', () => {
  it('gives pages, the last first, of one namespace', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { operations, repository } = stage;
    const { next } = await stage.arrange();
    const made: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      const moves = [moveOf(repository, `t${n}`, next.digest)];
      made.unshift((await operations.createRelease(moves, RELEASER)).uuid);
    }
    const namespace = { id: repository.namespaceId };
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await operations.listReleases(namespace, { cursor, limit: 2 });
      expect(page.items.length).toBe(seen.length === 4 ? 1 : 2);
      seen.push(...page.items.map(({ uuid }) => uuid));
      cursor = page.cursor ?? null;
    } while (cursor !== null);
    expect(seen).toEqual(made);
    expect(await operations.listReleases({ id: repository.namespaceId + 1 })).toEqual({
      items: [],
      hasMore: false,
    });
    await expect(operations.listReleases(namespace, { cursor: 'x' })).rejects.toMatchObject({
      code: 'InvalidFilter',
    });
  });
});

describe('forgetOldRecords', () => {
  it('forgets releases that are 90 days old, and leaves their tags', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { operations, housekeeping, repository, clock } = stage;
    const { moves, next } = await stage.arrange();
    const first = await operations.createRelease(moves, RELEASER);
    clock.advance(DAY_MS);
    const second = await operations.createRelease(
      [moveOf(repository, 'new', next.digest)],
      RELEASER,
    );
    clock.set(START_MS + 90 * DAY_MS - 1);
    expect(await housekeeping.forgetOldRecords()).toMatchObject({ releases: 0 });
    clock.advance(1);
    expect(await housekeeping.forgetOldRecords()).toMatchObject({ releases: 1 });
    expect(await stored(stage, first)).toBeNull();
    expect(await stored(stage, second)).toEqual(second);
    await expect(operations.undoRelease(first, RELEASER)).rejects.toMatchObject({
      code: 'ReleaseNotFound',
    });
    expect(await stage.digests()).toEqual([next.digest, next.digest]);
  });
});

describe('the namespace of a release', () => {
  it('takes it along when it is purged', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { operations, housekeeping, repository, clock } = stage;
    const { moves } = await stage.arrange();
    await operations.createRelease(moves, RELEASER);
    expect(await operations.markNamespaceForDeletion(repository.namespaceName)).toBe(true);
    for (let run = 0; run < 3; run += 1) {
      await housekeeping.purgeNamespaces();
      await housekeeping.purgeRepositories();
      clock.advance(DAY_MS);
    }
    expect(await select('SELECT id FROM tag_release')).toEqual([]);
    expect(await select('SELECT id FROM namespace')).toEqual([]);
  });
});
