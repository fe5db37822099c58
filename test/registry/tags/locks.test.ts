import { describe, it } from 'vitest';

import type { ManifestInfo } from '../../../src/model/references.ts';
import { HOUR_MS, START_MS } from '../../support/clock.ts';
import { markNotified, notifiedTags } from '../../support/expiry-marks.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage, select, type Stage } from '../../support/stage.ts';

const REPLACED = { ok: false, previous: null };

/** A stage with v1; with `labels` of its image. */
async function aTag({ settings = {}, labels = {} } = {}) {
  const stage = await openStage({ settings });
  return { ...stage, ...(await stage.push('v1', await stage.image({ labels }))) };
}
const EXPIRING = { labels: { 'quay.expires-after': '1h' } };

describe('changeTagImmutability', () => {
  it('scenario 32 (tags): locks and unlocks, and says what was before', async ({ expect }) => {
    const { registry, repository, tag, ...stage } = await aTag();
    const before = await stage.generation();
    const lock = (immutable: boolean) => registry.changeTagImmutability(tag, immutable);
    expect(await lock(true)).toEqual({ ok: true, previous: false });
    expect(await registry.getRepoTag(repository, 'v1')).toEqual({ ...tag, immutable: true });
    expect(await lock(true)).toEqual({ ok: true, previous: true });
    expect(await lock(false)).toEqual({ ok: true, previous: true });
    expect(await lock(false)).toEqual({ ok: true, previous: false });
    expect(await registry.getRepoTag(repository, 'v1')).toEqual(tag);
    // Names did not change.
    expect(await stage.generation()).toBe(before);
    await registry.deleteTag(repository, 'v1');
    expect(await lock(true)).toEqual(REPLACED);
    expect(await findViolations()).toEqual([]);
  });

  it('I9: protects the tag from moves and deletes until it is unlocked', async ({ expect }) => {
    const { registry, repository, tag, manifest, ...stage } = await aTag();
    await registry.changeTagImmutability(tag, true);
    const other = await stage.image();
    for (const operation of [
      () => stage.push('v1', other),
      () => registry.retargetTag(repository, 'v1', manifest),
      () => registry.deleteTag(repository, 'v1'),
      () => registry.deleteTagsForManifest(manifest),
      () => registry.changeRepositoryTagExpiration(tag, new Date(START_MS + 2 * HOUR_MS)),
    ]) {
      await expect(operation()).rejects.toMatchObject({ code: 'TagImmutable' });
    }
    expect(await stage.generations('v1')).toMatchObject([{ lifetime_end_ms: null }]);
    await registry.changeTagImmutability(tag, false);
    await stage.push('v1', other);
    expect(await stage.generations('v1')).toHaveLength(2);
  });

  it('acts on the row that the caller saw, not on the one that has its name', async ({
    expect,
  }) => {
    const { registry, tag, ...stage } = await aTag();
    const { tag: next } = await stage.push('v1', await stage.image());
    expect(await registry.changeTagImmutability(tag, true)).toEqual(REPLACED);
    expect(await registry.changeTagImmutability({ ...next, id: 1_000_000 }, true)).toEqual(
      REPLACED,
    );
    expect(await stage.generations('v1')).toMatchObject([{ immutable: 0 }, { immutable: 0 }]);
  });

  it('I5: changes no row that is over or hidden', async ({ expect }) => {
    const { registry, repository, tag, clock, ...stage } = await aTag(EXPIRING);
    clock.advance(HOUR_MS);
    expect(await registry.changeTagImmutability(tag, false)).toEqual(REPLACED);
    await registry.createManifestWithTempTag(repository, await stage.image(), 60);
    const [hidden] = await select('SELECT id FROM tag WHERE hidden = 1');
    const id = Number(hidden?.['id']);
    expect(await registry.changeTagImmutability({ ...tag, id }, true)).toEqual(REPLACED);
    expect(await select('SELECT id FROM tag WHERE immutable = 1')).toEqual([]);
  });

  it.for([[{}], [{ immutableTags: false }]])(
    'scenario 33 (tags), I10: refuses a tag with an end, with %j',
    async ([settings], { expect }) => {
      const { registry, tag } = await aTag({ ...EXPIRING, settings });
      const refusal = { code: 'TagHasExpiration', detail: { tagName: 'v1' } };
      await expect(registry.changeTagImmutability(tag, true)).rejects.toMatchObject(refusal);
      expect(await registry.changeTagImmutability(tag, false)).toEqual({
        ok: true,
        previous: false,
      });
      expect(await findViolations()).toEqual([]);
      // Also one that was locked under another setting.
      await execute('UPDATE tag SET immutable = 1');
      await expect(registry.changeTagImmutability(tag, true)).rejects.toMatchObject(refusal);
      expect(await registry.changeTagImmutability(tag, false)).toEqual({
        ok: true,
        previous: true,
      });
    },
  );

  it('scenario 33 (tags): locks a tag with an end if it may have one', async ({ expect }) => {
    const settings = { immutableTagsCanExpire: true };
    const { registry, repository, tag } = await aTag({ ...EXPIRING, settings });
    expect(await registry.changeTagImmutability(tag, true)).toEqual({ ok: true, previous: false });
    expect(await registry.getRepoTag(repository, 'v1')).toEqual({ ...tag, immutable: true });
  });

  it('stores the flag though nothing enforces it', async ({ expect }) => {
    const { registry, repository, tag, ...stage } = await aTag({
      settings: { immutableTags: false },
    });
    expect(await registry.changeTagImmutability(tag, true)).toEqual({ ok: true, previous: false });
    expect((await registry.getRepoTag(repository, 'v1'))?.immutable).toBe(true);
    const enforcing = stage.behind((_call, run) => run(), { settings: { immutableTags: true } });
    await expect(enforcing.deleteTag(repository, 'v1')).rejects.toThrow('immutable');
    expect(await registry.deleteTag(repository, 'v1')).not.toBeNull();
  });

  it('I11: changes nothing in a repository that is marked for deletion', async ({ expect }) => {
    const { registry, tag } = await aTag();
    await execute('UPDATE repository SET state = 3');
    expect(await registry.changeTagImmutability(tag, true)).toEqual(REPLACED);
    expect(await select('SELECT immutable FROM tag')).toEqual([{ immutable: 0 }]);
  });
});

/** Two alive tags on one manifest, v1 with an end and v2; an expired one, and a hidden one. */
async function manyTags(settings = {}) {
  const stage = await openStage({ settings });
  const { registry, repository, clock } = stage;
  const { tag: old, manifest } = await stage.push('old', await stage.image());
  await registry.changeRepositoryTagExpiration(old, new Date(START_MS + HOUR_MS));
  clock.advance(HOUR_MS);
  const v1 = await registry.retargetTag(repository, 'v1', manifest);
  const endMs = clock.nowMs() + 2 * HOUR_MS;
  await registry.changeRepositoryTagExpiration(v1, new Date(endMs));
  await registry.lookupManifestByDigest(repository, manifest.digest, { requireAvailable: true });
  await execute(
    `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current, hidden) VALUES (?, '$temp-1', ?, ?, ?, 1, 1)`,
    repository.id,
    manifest.id,
    clock.nowMs(),
    endMs,
  );
  const v2 = await registry.retargetTag(repository, 'v2', manifest);
  await stage.push('other', await stage.image());
  return { ...stage, manifest, old, v1, v2, endMs };
}

const lockAll = ({ operations }: Stage, manifest: ManifestInfo, immutable = true) =>
  operations.setTagsImmutabilityForManifest(manifest, immutable);

const locks = () => select('SELECT name, immutable, lifetime_end_ms FROM tag ORDER BY id');

describe('setTagsImmutabilityForManifest', () => {
  it('scenario 35 (tags), I10: locks the alive visible tags, and takes their ends away', async ({
    expect,
  }) => {
    const { manifest, v1, v2, endMs, ...stage } = await manyTags();
    const before = await stage.generation();
    await markNotified(stage.repository, [v1.id, v2.id]);
    expect(await lockAll(stage, manifest)).toBe(2);
    expect(await locks()).toEqual([
      { name: 'old', immutable: 0, lifetime_end_ms: START_MS + HOUR_MS },
      { name: 'v1', immutable: 1, lifetime_end_ms: null },
      { name: '$temp-1', immutable: 0, lifetime_end_ms: endMs },
      { name: 'v2', immutable: 1, lifetime_end_ms: null },
      { name: 'other', immutable: 0, lifetime_end_ms: null },
    ]);
    // The end of v2 did not change, for it has none.
    expect(await notifiedTags()).toEqual([v2.id]);
    expect(await stage.generation()).toBe(before + 1);
    expect(await lockAll(stage, manifest)).toBe(2);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 35 (tags): leaves the ends where immutable tags may have one', async ({
    expect,
  }) => {
    const { manifest, v1, endMs, ...stage } = await manyTags({ immutableTagsCanExpire: true });
    await markNotified(stage.repository, [v1.id]);
    expect(await lockAll(stage, manifest)).toBe(2);
    expect((await locks())[1]).toEqual({ name: 'v1', immutable: 1, lifetime_end_ms: endMs });
    expect(await notifiedTags()).toEqual([v1.id]);
  });

  it('unlocks without touching the ends', async ({ expect }) => {
    const { manifest, v1, endMs, ...stage } = await manyTags();
    await markNotified(stage.repository, [v1.id]);
    expect(await lockAll(stage, manifest, false)).toBe(2);
    expect((await locks())[1]).toEqual({ name: 'v1', immutable: 0, lifetime_end_ms: endMs });
    expect(await notifiedTags()).toEqual([v1.id]);
    await lockAll(stage, manifest);
    expect(await lockAll(stage, manifest, false)).toBe(2);
    expect(await select('SELECT id FROM tag WHERE immutable = 1')).toEqual([]);
  });

  it('I11: changes nothing in a repository that is marked for deletion', async ({ expect }) => {
    const { manifest, ...stage } = await manyTags();
    await execute('UPDATE repository SET state = 3');
    const [before, rows] = [await stage.generation(), await locks()];
    expect(await lockAll(stage, manifest)).toBe(0);
    expect(await stage.generation()).toBe(before);
    expect(await locks()).toEqual(rows);
  });

  it('changes nothing where the manifest has no tags', async ({ expect }) => {
    const { manifest, ...stage } = await manyTags();
    await stage.registry.deleteTagsForManifest(manifest);
    const before = await stage.generation();
    expect(await lockAll(stage, manifest)).toBe(0);
    expect(await stage.generation()).toBe(before);
  });
});
