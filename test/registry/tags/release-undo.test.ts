import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import {
  aReleaseStage,
  digestsAt,
  moveOf,
  refusalOf,
  RELEASER,
  stored,
} from '../../support/releases.ts';
import { execute, select } from '../../support/stage.ts';

/** A release that moved `a` and `b` and made `new`. */
async function aRelease(...options: Parameters<typeof aReleaseStage>) {
  const stage = await aReleaseStage(...options);
  const { operations, repository } = stage;
  const { old, next, moves } = await stage.arrange();
  stage.clock.advance(HOUR_MS);
  const release = await operations.createRelease(
    [...moves, moveOf(repository, 'new', next.digest)],
    RELEASER,
  );
  stage.clock.advance(HOUR_MS);
  return {
    ...stage,
    old,
    next,
    release,
    all: () => digestsAt(stage, repository, 'a', 'b', 'new'),
  };
}

const hint = () => select('SELECT earliest_end_ms FROM repository_gc');

describe('undoRelease', () => {
  it('puts moved tags back and ends made ones, and is a release itself', async ({ expect }) => {
    const { operations, old, next, release, ...stage } = await aRelease();
    const before = await stage.generation();
    const undo = await operations.undoRelease(release, RELEASER);
    expect(await stage.all()).toEqual([old.digest, old.digest, null]);
    expect(undo).toMatchObject({
      undoes: release.uuid,
      undoneBy: null,
      releasedMs: START_MS + 2 * HOUR_MS,
      moves: [
        { tagName: 'a', beforeDigest: next.digest, digest: old.digest },
        { tagName: 'b', beforeDigest: next.digest, digest: old.digest },
        { tagName: 'new', beforeDigest: next.digest, digest: null },
      ],
    });
    const stores = { ...stage, operations };
    expect(await stored(stores, undo)).toEqual(undo);
    expect(await stored(stores, release)).toEqual({ ...release, undoneBy: undo.uuid });
    expect((await stage.generations('a')).at(-1)).toMatchObject({
      reversion: 1,
      release_uuid: undo.uuid,
    });
    expect(await stage.generations('new')).toMatchObject([
      { lifetime_end_ms: START_MS + 2 * HOUR_MS, is_current: 0 },
    ]);
    expect(await stage.generation()).toBe(before + 1);
    expect(await findViolations()).toEqual([]);
  });

  it('that made a tag alone says that there is something to collect', async ({ expect }) => {
    const { operations, repository, ...stage } = await aReleaseStage();
    const { next } = await stage.arrange();
    const moves = [moveOf(repository, 'new', next.digest)];
    const made = await operations.createRelease(moves, RELEASER);
    expect(await hint()).toEqual([{ earliest_end_ms: null }]);
    await operations.undoRelease(made, RELEASER);
    expect(await hint()).toEqual([{ earliest_end_ms: START_MS }]);
    expect(await findViolations()).toEqual([]);
  });

  it('is refused the second time, and can be undone itself', async ({ expect }) => {
    const { operations, old, next, release, ...stage } = await aRelease();
    const undo = await operations.undoRelease(release, RELEASER);
    const rows = await stage.rows();
    await expect(operations.undoRelease(release, RELEASER)).rejects.toMatchObject({
      code: 'ReleaseUndone',
      detail: { uuid: release.uuid, undoneBy: undo.uuid },
    });
    expect(await stage.rows()).toEqual(rows);
    const redo = await operations.undoRelease(undo, RELEASER);
    expect(await stage.all()).toEqual([next.digest, next.digest, next.digest]);
    await operations.undoRelease(redo, RELEASER);
    expect(await stage.all()).toEqual([old.digest, old.digest, null]);
    expect(await findViolations()).toEqual([]);
  });

  it('takes manifests that the time machine holds alone, until they are collected', async ({
    expect,
  }) => {
    const { operations, old, release, ...stage } = await aRelease();
    expect(await stage.registry.lookupManifestByDigest(stage.repository, old.digest)).toBeNull();
    const undo = await operations.undoRelease(release, RELEASER);
    await operations.undoRelease(undo, RELEASER);
    stage.clock.advance(30 * DAY_MS);
    await stage.housekeeping.collectGarbage();
    const [redo] = (await operations.listReleases({ id: release.namespaceId })).items;
    const again = redo === undefined ? null : operations.undoRelease(redo, RELEASER);
    expect(again && (await refusalOf(again))).toEqual({ index: 0, reason: 'manifest_unknown' });
    expect(await findViolations()).toEqual([]);
  });

  it.for([
    ['moved', 'tag_moved'],
    ['moved and moved back', 'tag_moved'],
    ['deleted', 'tag_moved'],
    ['over', 'tag_moved'],
    ['locked', 'tag_immutable'],
  ] as const)(
    'is refused where a tag was %s since, and changes none',
    async ([change, reason], { expect }) => {
      const { operations, registry, repository, next, release, ...stage } = await aRelease();
      if (change.startsWith('moved')) {
        await stage.push('b', await stage.image());
      }
      if (change === 'moved and moved back') {
        await registry.retargetTag(repository, 'b', next);
      }
      if (change === 'deleted') {
        await registry.deleteTag(repository, 'b');
      }
      if (change === 'over') {
        await execute(
          "UPDATE tag SET lifetime_end_ms = ? WHERE name = 'b' AND is_current",
          START_MS,
        );
      }
      if (change === 'locked') {
        await execute("UPDATE tag SET immutable = 1 WHERE name = 'b' AND is_current");
      }
      const rows = await stage.rows();
      expect(await refusalOf(operations.undoRelease(release, RELEASER))).toEqual({
        index: 1,
        reason,
      });
      expect(await stage.rows()).toEqual(rows);
    },
  );

  it('brings back what an undo ended only if nobody used the name since', async ({ expect }) => {
    const { operations, registry, repository, next, release, ...stage } = await aRelease();
    const undo = await operations.undoRelease(release, RELEASER);
    await registry.retargetTag(repository, 'new', next);
    const refused = { index: 2, reason: 'tag_moved' };
    expect(await refusalOf(operations.undoRelease(undo, RELEASER))).toEqual(refused);
    await registry.deleteTag(repository, 'new');
    const rows = await stage.rows();
    expect(await refusalOf(operations.undoRelease(undo, RELEASER))).toEqual(refused);
    expect(await stage.rows()).toEqual(rows);
  });

  it('ends signatures, and what the children of an index had, with the tags that it ends', async ({
    expect,
  }) => {
    const settings = { resetChildManifestExpiration: true };
    const { operations, repository, ...stage } = await aRelease({ settings });
    const child = await stage.image();
    await stage.registry.createManifestWithTempTag(repository, child, 3600);
    const { manifest } = await stage.push('source', await anIndex([child]));
    const made = await operations.createRelease(
      [moveOf(repository, 'made', manifest.digest)],
      RELEASER,
    );
    const signature = `${manifest.digest.replace(':', '-')}.sig`;
    await stage.push(signature, await stage.image());
    await stage.registry.deleteTag(repository, 'source');
    expect(await stage.names()).toContain(signature);
    await operations.undoRelease(made, RELEASER);
    expect(await stage.names()).not.toContain(signature);
    expect(
      await stage.registry.lookupManifestByDigest(repository, child.digest, {
        allowHidden: true,
      }),
    ).toBeNull();
    expect(await findViolations()).toEqual([]);
  });
});
