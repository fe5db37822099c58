import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { AUDIT_FINDINGS_NAMED_MAX, UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import { parseRepositoryName } from '../../../src/model/names.ts';
import { ensureEmptyBlob } from '../../../src/registry/blobs.ts';
import { DAY_MS, HOUR_MS } from '../../support/clock.ts';
import { anIndex, pushTagged, uniqueBytes } from '../../support/content.ts';
import { footprint } from '../../support/footprint.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, openStage, select } from '../../support/stage.ts';
import { anUpload, chunkOf, nameOf } from '../../support/uploads.ts';
import {
  auditAll,
  clearUp,
  lateClock,
  NOTHING,
  plant,
  PLANTED,
  REMAINS,
  remains,
} from './audit-world.ts';

/** What the stores hold, without what the audit writes of itself. */
async function holdings() {
  const { gc_audit: _, ...stores } = await footprint();
  return stores;
}

const countOf = async (table: string) =>
  Number((await select(`SELECT count(*) AS n FROM ${table}`))[0]?.['n']);

type Stage = Awaited<ReturnType<typeof openStage>>;

/** Pushes of all kinds, done and under way. */
async function push(stage: Stage): Promise<void> {
  const { repository, registry, operations } = stage;
  const child = await stage.image();
  await stage.push('child', child);
  await stage.push('list', await anIndex([child]));
  await registry.deleteTag(repository, 'child');
  await stage.push('v1', await stage.image());
  await stage.push('v1', await stage.image({ padding: 1_100_000 }));
  const subject = await stage.image({ labels: { 'quay.immutable': 'true' } });
  await stage.push('locked', subject);
  await registry.createManifestWithTempTag(repository, await stage.image({ subject }), 60);
  await ensureEmptyBlob(stage.deps);
  // A large manifest whose push dies between its body and its row.
  const dying = await stage.image({ padding: 1_100_000 });
  const { promise: isDead, resolve: die } = Promise.withResolvers<void>();
  void stage.push('dying', dying, async (call, run) => {
    const result = await run();
    if (call.operation === 'put') {
      die();
      return new Promise(() => undefined);
    }
    return result;
  });
  await isDead;
  const name = nameOf(repository);
  for (const bytes of [uniqueBytes(UPLOAD_PART_BYTES + 100), uniqueBytes(100), uniqueBytes(50)]) {
    const { uploadId } = await anUpload(stage, repository);
    await operations.appendChunk(name, uploadId, chunkOf(bytes));
    if (bytes.byteLength === 50) {
      await operations.cancelUpload(name, uploadId);
    }
  }
}

/** A registry in the middle of all that may be under way. */
async function openBusyRegistry(): Promise<Stage> {
  const stage = await openStage({ clock: lateClock() });
  const { clock, registry, operations, housekeeping } = stage;
  await push(stage);
  for (const text of ['purged/r', 'disabled/r', 'stopped/r']) {
    const home = await aRepository(stage, parseRepositoryName(text) ?? undefined);
    await execute(
      'UPDATE namespace SET removed_tag_expiration_s = 0 WHERE id = ?',
      home.namespaceId,
    );
    for (const tagName of ['v0', 'v1', 'v2']) {
      await pushTagged(stage, home, { tagName });
    }
    await registry.deleteTag(home, 'v0');
    await registry.deleteTag(home, 'v1');
    if (text === 'purged/r') {
      await operations.markRepositoryForDeletion(home);
      // As if the index that had one of its manifests went by an earlier step.
      await execute(`DELETE FROM tag WHERE repository_id = ? AND name = 'v0'`, home.id);
    }
  }
  await execute("UPDATE namespace SET enabled = 0 WHERE name = 'disabled'");
  clock.advance(2 * DAY_MS);
  await housekeeping.collectGarbage({ statements: 20 });
  return stage;
}

describe('the audit', () => {
  it('8.8: finds nothing, and changes nothing, in a registry where all is under way', async ({
    expect,
  }) => {
    const stage = await openBusyRegistry();
    const before = await holdings();
    expect(before).toMatchObject({ blob_upload: 2, deleted_repository: 1 });
    const unlisted = `FROM manifest m WHERE NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id)`;
    expect(
      await select(`SELECT 1 ${unlisted} AND m.repository_id IN (
      SELECT repository_id FROM deleted_repository)`),
    ).toHaveLength(1);
    const limits = { rowsPerPage: 3, keysPerPage: 3, statements: 7 };
    const { found, checked, runs } = await auditAll(stage, limits);
    expect(found).toEqual(NOTHING);
    expect(runs).toBeGreaterThan(1);
    expect(checked).toMatchObject({
      repositories: await countOf('repository'),
      manifests: await countOf('manifest'),
      blobs: await countOf('blob'),
      objects: (before['objects'] as readonly string[]).length,
    });
    expect(checked.sampledBlobs).toBeGreaterThan(0);
    expect(await holdings()).toEqual(before);
    await stage.housekeeping.purgeRepositories();
    await clearUp(stage.clock);
    stage.clock.advance(DAY_MS);
    expect(await auditAll(stage)).toMatchObject({ found: NOTHING, runs: 1 });
    // Nothing is collected in a disabled namespace, so its hint may say so.
    const violations = await findViolations();
    expect(violations.filter((one) => !one.startsWith('hint too late'))).toEqual([]);
  });

  it('8.8: counts what no list names, once, and has it collected', async ({ expect }) => {
    await plant();
    const world = openTestRegistry({ clock: lateClock() });
    const { clock, housekeeping, operations } = world;
    const beganMs = clock.nowMs();
    expect(await operations.readAudit()).toEqual({ finished: null, running: null });
    const pass = await housekeeping.auditStores();
    expect(pass).toMatchObject({
      beganMs,
      endedMs: beganMs,
      found: PLANTED,
      checked: { repositories: 4, manifests: 5, blobs: 6, objects: 9 },
    });
    expect(await operations.readAudit()).toEqual({
      running: null,
      finished: {
        ...pass,
        findings: [
          { kind: 'damaged_blob', subject: 'missing' },
          { kind: 'damaged_blob', subject: 'short' },
          { kind: 'late_hint', subject: 'n/late' },
          { kind: 'late_hint', subject: 'n/missing' },
          { kind: 'late_hint', subject: 'n/other-window' },
          { kind: 'unlisted_blob', subject: 'unlisted' },
          { kind: 'unlisted_manifest', subject: 'n/right@unlisted' },
          { kind: 'unowned_object', subject: 'blobs/stray' },
          { kind: 'unowned_object', subject: 'manifests/stray' },
          { kind: 'unowned_object', subject: 'uploads/stray/tail-1' },
        ],
      },
    });
    expect(await select('SELECT * FROM repository_gc ORDER BY repository_id')).toMatchObject([
      { policy_s: 0, earliest_end_ms: 1, earliest_lease_ms: null },
      { policy_s: 0, earliest_end_ms: null, earliest_lease_ms: 1 },
      { policy_s: 0, earliest_end_ms: 1, earliest_lease_ms: null },
      { policy_s: 0, earliest_end_ms: null, earliest_lease_ms: null },
    ]);
    // Until a day has passed the next runs only say again what was found.
    clock.advance(DAY_MS / 2);
    expect(await housekeeping.auditStores()).toEqual(pass);
    await clearUp(clock);
    expect(await remains()).toEqual(REMAINS);
    const next = await housekeeping.auditStores();
    expect(next).toMatchObject({ found: { ...NOTHING, damagedBlobs: 2 } });
    expect(next.auditId).not.toBe(pass.auditId);
    expect((await remains()).graves).toEqual([]);
  });

  it('leaves alone what is too young: rows of a day, objects of eight', async ({ expect }) => {
    await plant();
    const clock = lateClock();
    const world = openTestRegistry({ clock });
    await execute('UPDATE manifest SET created_ms = ?', clock.nowMs() - DAY_MS + 1);
    await execute('UPDATE blob SET created_ms = ?', clock.nowMs() - DAY_MS + 1);
    clock.advance(-HOUR_MS * 48);
    expect(await auditAll(world)).toMatchObject({
      found: { ...PLANTED, unlistedManifests: 0, unlistedBlobs: 0, unownedObjects: 0 },
    });
    clock.advance(HOUR_MS * 48 - 1);
    expect(await auditAll(world)).toMatchObject({
      found: { lateHints: 0, unlistedManifests: 0, unlistedBlobs: 0, unownedObjects: 3 },
    });
    clock.advance(1 + DAY_MS);
    await execute('UPDATE manifest SET created_ms = ?', clock.nowMs() - DAY_MS);
    await execute('UPDATE blob SET created_ms = ?', clock.nowMs() - DAY_MS);
    expect(await auditAll(world)).toMatchObject({
      found: { lateHints: 0, unlistedManifests: 1, unlistedBlobs: 1, unownedObjects: 0 },
    });
  });

  it('goes on where a run stopped, and keeps the pass before', async ({ expect }) => {
    await plant();
    const world = openTestRegistry({ clock: lateClock() });
    const limits = { rowsPerPage: 2, keysPerPage: 2, statements: 6, sampledBlobs: 3 };
    await world.housekeeping.auditStores({ ...limits, statements: 5 });
    const { running, finished } = await world.operations.readAudit();
    expect(finished).toBeNull();
    expect(running).toMatchObject({
      endedMs: null,
      position: { stage: 'hints', afterId: 2 },
      checked: { repositories: 2, manifests: 0 },
      found: { lateHints: 2 },
    });
    const pass = await auditAll(world, limits);
    expect(pass.found).toMatchObject({ ...PLANTED, damagedBlobs: pass.found.damagedBlobs });
    expect(pass.checked).toMatchObject({ repositories: 4, manifests: 5, blobs: 6, objects: 9 });
    expect(pass.runs).toBeGreaterThan(5);
    // Time alone stops a run as well.
    world.clock.advance(DAY_MS);
    expect(await world.housekeeping.auditStores({ durationMs: 0 })).toMatchObject({
      endedMs: null,
      position: { stage: 'hints', afterId: 0 },
    });
    const both = await world.operations.readAudit();
    expect([both.finished?.auditId, both.running?.auditId]).toEqual([
      pass.auditId,
      pass.auditId + 1,
    ]);
    await auditAll(world);
    world.clock.advance(DAY_MS);
    await auditAll(world);
    world.clock.advance(DAY_MS);
    await world.housekeeping.auditStores({ durationMs: 0 });
    expect((await select('SELECT id FROM gc_audit ORDER BY id')).map(({ id }) => id)).toEqual([
      pass.auditId + 2,
      pass.auditId + 3,
    ]);
  });

  it('names so many of what it found, and counts all', async ({ expect }) => {
    await plant();
    await execute(`INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      SELECT 'u' || value, 'd' || value, 1, 'blobs/u' || value, 'r2', 0
      FROM json_each('[10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]')`);
    const world = openTestRegistry({ clock: lateClock() });
    const { found } = await auditAll(world, { rowsPerPage: 7, sampledBlobs: 0 });
    expect(found.unlistedBlobs).toBe(22);
    const { finished } = await world.operations.readAudit();
    const named = finished?.findings.filter(({ kind }) => kind === 'unlisted_blob');
    expect(named).toHaveLength(AUDIT_FINDINGS_NAMED_MAX);
    expect(await countOf('gc_blob_candidate')).toBe(23);
  });

  it('reads a page by one statement, whatever lies before and behind it', async ({ expect }) => {
    const stage = await openStage({ clock: lateClock() });
    const numbers = JSON.stringify(Array.from({ length: 3000 }, (_, at) => at));
    await execute(
      `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
      SELECT ?, 'm' || value, '${MANIFEST_MEDIA_TYPES.ociIndex}', 2, 0, '{}' FROM json_each(?)`,
      stage.repository.id,
      numbers,
    );
    await execute(`INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      SELECT repository_id, 't' || id, id, 0, 1 FROM manifest`);
    await execute(
      `INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      SELECT 'b' || value, 'b' || value, 1, 'blobs/b' || value, 'r2', 0 FROM json_each(?)`,
      numbers,
    );
    await execute(`INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
      SELECT ${stage.repository.id}, id, 0, 9000000000000 FROM blob WHERE digest NOT LIKE 'sha256:%'`);
    await execute('UPDATE repository_gc SET earliest_lease_ms = 0');
    const rows = { manifests: 0, blobs: 0 };
    const limits = { statements: 1, rowsPerPage: 100, sampledBlobs: 0 };
    await openTestRegistry({ clock: stage.clock }).housekeeping.auditStores(limits);
    for (let isGoingOn = true; isGoingOn;) {
      const { running } = await stage.operations.readAudit();
      const { housekeeping, meter } = openTestRegistry({ clock: stage.clock });
      const pass = await housekeeping.auditStores(limits);
      const { d1RowsRead, d1RowsWritten, d1RoundTrips, r2Writes } = meter.usage;
      const stageName = running?.position.stage ?? '';
      const isOfObjects = stageName.endsWith('objects');
      expect([stageName, d1RoundTrips, d1RowsWritten, r2Writes]).toEqual([
        stageName,
        2,
        1,
        Number(isOfObjects),
      ]);
      expect(d1RowsRead, stageName).toBeLessThan(isOfObjects ? 50 : 600);
      if (stageName === 'manifests' || stageName === 'blobs') {
        rows[stageName] += 1;
      }
      isGoingOn = pass.endedMs === null;
    }
    // Full pages, and the one that shows that no row is left.
    expect(rows).toEqual({ manifests: 31, blobs: 31 });
  });
});
