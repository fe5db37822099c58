import { describe, it } from 'vitest';

import { EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import {
  REASON_HOLDER_TAGS_READ_MAX,
  REASON_HOLDERS_WALKED_MAX,
  REASON_TAGS_READ_MAX,
  REASONS_MAX,
} from '../../../src/model/limits.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../support/clock.ts';
import { anIndex, pushBlob } from '../../support/content.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, openStage, select } from '../../support/stage.ts';
import { seedTags } from '../../support/tags.ts';

const ONE_DAY = { settings: { removedTagExpirationSec: 86_400 } };

/** A stage whose questions are about its repository. */
async function openQuestions(options = ONE_DAY) {
  const stage = await openStage(options);
  const explain = (digest: string) =>
    stage.operations.explainDigest(stage.repository, digest as never);
  return {
    ...stage,
    stage,
    explain,
    manifest: async (digest: string) => (await explain(digest)).manifest,
    blob: async (digest: string) => (await explain(digest)).blob,
  };
}

const kept = (goesAtMs: number | null, ...reasons: readonly object[]) => ({
  state: 'kept',
  reasons,
  moreReasons: 0,
  goesAtMs,
  isComplete: true,
});

describe('why a manifest is kept', () => {
  it('an alive tag, for good or until its end and the window after it', async ({ expect }) => {
    const { stage, manifest, clock } = await openQuestions();
    const forGood = await stage.image();
    await stage.push('v1', forGood);
    const tag = { kind: 'tag', tagName: 'v1', endsMs: null, untilMs: null };
    expect(await manifest(forGood.digest)).toEqual(kept(null, tag));
    const ending = await stage.image({ labels: { 'quay.expires-after': '2h' } });
    await stage.push('v2', ending);
    const endsMs = clock.nowMs() + 2 * HOUR_MS;
    const untilMs = endsMs + DAY_MS;
    expect(await manifest(ending.digest)).toEqual(
      kept(untilMs, { kind: 'tag', tagName: 'v2', endsMs, untilMs }),
    );
    clock.set(endsMs);
    expect(await manifest(ending.digest)).toEqual(
      kept(untilMs, { kind: 'time_machine', tagName: 'v2', endsMs, untilMs }),
    );
    clock.set(untilMs);
    expect(await manifest(ending.digest)).toEqual({ state: 'garbage', goesAtMs: untilMs });
  });

  it('the time machine, a temporary tag, and both: the later one counts', async ({ expect }) => {
    const { stage, manifest, clock, registry, repository } = await openQuestions();
    const image = await stage.image();
    await stage.push('v1', image);
    await registry.deleteTag(repository, 'v1');
    const endsMs = clock.nowMs();
    await registry.createManifestWithTempTag(repository, image, 300);
    const untilMs = endsMs + 300 * SECOND_MS + DAY_MS;
    expect(await manifest(image.digest)).toEqual(
      kept(
        untilMs,
        { kind: 'temporary_tag', endsMs: endsMs + 300 * SECOND_MS, untilMs },
        { kind: 'time_machine', tagName: 'v1', endsMs, untilMs: endsMs + DAY_MS },
      ),
    );
  });

  it('a locked generation that ended, while such may not go', async ({ expect }) => {
    const { stage, manifest, clock, repository } = await openQuestions();
    const image = await stage.image();
    await stage.push('v1', image);
    const endsMs = clock.nowMs();
    await execute('UPDATE tag SET immutable = 1, lifetime_end_ms = ?, is_current = 0', endsMs);
    expect(await manifest(image.digest)).toEqual(
      kept(null, { kind: 'locked_tag', tagName: 'v1', endsMs, untilMs: null }),
    );
    const { operations } = openTestRegistry({ clock, settings: { immutableTagsCanExpire: true } });
    const untilMs = endsMs + DAY_MS;
    expect((await operations.explainDigest(repository, image.digest)).manifest).toEqual(
      kept(untilMs, { kind: 'time_machine', tagName: 'v1', endsMs, untilMs }),
    );
  });

  it('an index it is in, however deep, until that one goes', async ({ expect }) => {
    const { stage, manifest, clock, registry, repository } = await openQuestions();
    const child = await stage.image();
    await registry.createManifestWithTempTag(repository, child, 1);
    const inner = await anIndex([child]);
    await registry.createManifestWithTempTag(repository, inner, 1);
    const outer = await anIndex([inner]);
    await stage.push('list', outer);
    clock.advance(2 * DAY_MS);
    const index = { kind: 'index', digest: inner.digest, untilMs: null };
    expect(await manifest(child.digest)).toEqual(kept(null, index));
    await registry.deleteTag(repository, 'list');
    const untilMs = clock.nowMs() + DAY_MS;
    expect(await manifest(child.digest)).toEqual(kept(untilMs, { ...index, untilMs }));
    clock.advance(DAY_MS);
    // The indexes are garbage already, and so hold nothing.
    expect(await manifest(child.digest)).toMatchObject({ state: 'garbage' });
  });

  it('a referrer whose subject it is, and the referrer itself a pin', async ({ expect }) => {
    const { stage, manifest, clock, registry, repository } = await openQuestions();
    const subject = await stage.image();
    await stage.push('v1', subject);
    const referrer = await stage.image({ subject });
    await registry.createManifestWithTempTag(repository, referrer, 60);
    await registry.deleteTag(repository, 'v1');
    clock.advance(2 * DAY_MS);
    expect(await manifest(referrer.digest)).toEqual(kept(null, { kind: 'pin', untilMs: null }));
    expect(await manifest(subject.digest)).toEqual(
      kept(null, { kind: 'referrer', digest: referrer.digest, untilMs: null }),
    );
  });

  it('a namespace that is disabled, as long as it is', async ({ expect }) => {
    const { stage, manifest, clock, registry, repository } = await openQuestions();
    const image = await stage.image();
    await stage.push('v1', image);
    await registry.deleteTag(repository, 'v1');
    const endsMs = clock.nowMs();
    await execute('UPDATE namespace SET enabled = 0');
    clock.advance(30 * DAY_MS);
    expect(await manifest(image.digest)).toEqual(
      kept(
        null,
        { kind: 'disabled_namespace', untilMs: null },
        { kind: 'time_machine', tagName: 'v1', endsMs, untilMs: null },
      ),
    );
    await execute('UPDATE namespace SET enabled = 1');
    expect(await manifest(image.digest)).toMatchObject({ state: 'garbage' });
  });
});

describe('why a blob is kept', () => {
  it('the lease of its upload, and the manifests that link it', async ({ expect }) => {
    const { stage, blob, clock, registry, repository, operations, deps } = await openQuestions();
    const { digest } = await pushBlob({ operations }, repository);
    const untilMs = clock.nowMs() + deps.settings.pushLeaseSec * SECOND_MS;
    expect(await blob(digest)).toEqual(kept(untilMs, { kind: 'lease', untilMs }));
    clock.set(untilMs - 1);
    expect(await blob(digest)).toMatchObject({ state: 'kept' });
    clock.set(untilMs);
    expect(await blob(digest)).toEqual({ state: 'garbage', goesAtMs: untilMs });

    const [one, two] = [await stage.image(), await stage.image()];
    await stage.push('v1', one);
    await stage.push('v2', two);
    await registry.deleteTag(repository, 'v1');
    expect(await blob(stage.layer.digest)).toEqual(
      kept(
        null,
        { kind: 'manifest', digest: two.digest, untilMs: null },
        { kind: 'manifest', digest: one.digest, untilMs: clock.nowMs() + DAY_MS },
      ),
    );
  });

  it('other repositories, of which only the number is told', async ({ expect }) => {
    const { blob, explain, clock, registry, repository, stage } = await openQuestions();
    const { digest } = stage.layer;
    clock.advance(MINUTE_MS);
    const found = await registry.getRepoBlobByDigest(repository, digest);
    for (let others = 0; others < 2; others += 1) {
      const elsewhere = await aRepository(stage);
      await registry.mountBlobIntoRepository(found as never, elsewhere, 60);
      await execute(
        'UPDATE repository SET name = ? WHERE id = ?',
        `secret-${others}`,
        elsewhere.id,
      );
    }
    expect(await blob(digest)).toEqual(
      kept(null, { kind: 'other_repositories', count: 2, isMore: false, untilMs: null }),
    );
    expect(JSON.stringify(await explain(digest))).not.toContain('secret');
    await execute(`INSERT INTO repository (namespace_id, name)
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
      SELECT namespace_id, 'more-' || i FROM n CROSS JOIN (SELECT * FROM repository LIMIT 1)`);
    await execute(`INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
      SELECT r.id, b.id, 0, 0 FROM repository r CROSS JOIN blob b WHERE r.name LIKE 'more-%'`);
    expect(await blob(digest)).toMatchObject({ reasons: [{ count: 100, isMore: true }] });
  });

  it('the empty layer always, once it is there; what this repository never saw has no answer', async ({
    expect,
  }) => {
    const { blob, operations, stage } = await openQuestions();
    await execute(
      `INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      VALUES ('e', ?, 32, 'blobs/empty-layer', 'r2', 0)`,
      EMPTY_BLOB_DIGEST,
    );
    expect(await blob(EMPTY_BLOB_DIGEST)).toEqual(
      kept(null, { kind: 'shared_blob', untilMs: null }),
    );
    const elsewhere = await pushBlob(stage, await aRepository(stage));
    const answer = await operations.explainDigest(stage.repository, elsewhere.digest);
    expect(answer).toEqual({ digest: elsewhere.digest, manifest: null, blob: null });
  });
});

describe('why something is gone', () => {
  it('when and why it was removed, and the tags that pointed to it', async ({ expect }) => {
    const { stage, explain, clock, registry, repository, housekeeping } = await openQuestions();
    const image = await stage.image();
    await stage.push('v1', image);
    await stage.push('v2', image);
    await registry.deleteTag(repository, 'v1');
    const endedMs = clock.nowMs();
    clock.advance(HOUR_MS);
    await registry.deleteTag(repository, 'v2');
    clock.advance(3 * DAY_MS);
    await housekeeping.collectRepository(repository.id);
    const removedMs = clock.nowMs();
    const removal = { state: 'removed', removedMs, reason: 'unreferenced', hasMoreTags: false };
    expect(await explain(image.digest)).toEqual({
      digest: image.digest,
      manifest: {
        ...removal,
        tags: [
          { tagName: 'v2', endedMs: endedMs + HOUR_MS, removedMs },
          { tagName: 'v1', endedMs, removedMs },
        ],
      },
      blob: null,
    });
    expect(await explain(stage.layer.digest)).toMatchObject({
      manifest: null,
      blob: { ...removal, tags: [] },
    });
    const other = await aRepository(stage);
    const { operations } = openTestRegistry({ clock });
    expect((await operations.explainDigest(other, image.digest)).manifest).toBeNull();
    await execute('UPDATE repository SET state = 3');
    expect(await explain(image.digest)).toMatchObject({ manifest: null, blob: null });
  });
});

describe('an explanation', () => {
  it('reads a bounded number of rows, in one round trip, and says where it stopped', async ({
    expect,
  }) => {
    const { stage, clock, repository, registry } = await openQuestions();
    const image = await stage.image();
    await stage.push('v0', image);
    const many = Array.from({ length: 3 * REASON_TAGS_READ_MAX }, (_, at) => at);
    const endMs = clock.nowMs() - 1;
    await seedTags(
      repository,
      many.map((at) => ({ name: `t${at}`, digest: image.digest, endMs, isCurrent: false })),
    );
    const counted = openTestRegistry({ ...ONE_DAY, clock });
    const ask = async (digest: string) =>
      await counted.operations.explainDigest(repository, digest as never);
    // What is alive is read first, so that a tag for good is never missed.
    expect((await ask(image.digest)).manifest).toMatchObject({
      reasons: { 0: { kind: 'tag', tagName: 'v0' }, length: REASONS_MAX },
      moreReasons: REASON_TAGS_READ_MAX - REASONS_MAX,
      goesAtMs: null,
      isComplete: false,
    });
    expect(counted.meter.usage.d1RoundTrips).toBe(1);
    expect(counted.meter.usage.d1RowsRead).toBeLessThanOrEqual(REASON_TAGS_READ_MAX + 40);
    expect(counted.meter.usage.d1RowsWritten).toBe(0);
    await registry.deleteTag(repository, 'v0');
    expect((await ask(image.digest)).manifest).toMatchObject({ goesAtMs: null, isComplete: false });

    const before = counted.meter.usage.d1RowsRead;
    expect((await ask(stage.layer.digest)).blob).toMatchObject({
      reasons: [{ kind: 'manifest', digest: image.digest }],
      goesAtMs: null,
      isComplete: false,
    });
    expect(counted.meter.usage.d1RowsRead - before).toBeLessThanOrEqual(
      3 * REASON_HOLDER_TAGS_READ_MAX + 100,
    );
    const walked = counted.meter.usage.d1RowsRead;
    await execute(
      `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
      SELECT ?1, 'd' || value, 't', 2, 0, '{}' FROM json_each(?2)`,
      repository.id,
      JSON.stringify(many),
    );
    await execute(`INSERT INTO manifest_blob (repository_id, manifest_id, blob_id)
      SELECT m.repository_id, m.id, b.id FROM manifest m CROSS JOIN blob b WHERE m.digest LIKE 'd%'`);
    expect(await select('SELECT count(*) AS n FROM manifest')).toEqual([{ n: many.length + 1 }]);
    expect((await ask(stage.layer.digest)).blob).toMatchObject({ isComplete: false });
    expect(counted.meter.usage.d1RowsRead - walked).toBeLessThanOrEqual(
      3 * REASON_HOLDER_TAGS_READ_MAX + 12 * REASON_HOLDERS_WALKED_MAX,
    );
  });
});
