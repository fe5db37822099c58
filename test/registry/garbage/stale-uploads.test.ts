import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import {
  STALE_UPLOAD_MS,
  STALE_UPLOADS_PER_RUN_MAX,
  TOMBSTONE_GRACE_MS,
  UPLOAD_CLAIM_MS,
  UPLOAD_LIFETIME_MS_MAX,
  UPLOAD_PART_BYTES,
} from '../../../src/model/limits.ts';
import { DAY_MS, HOUR_MS } from '../../support/clock.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { losing } from '../../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { codeOf, execute, valueOf } from '../../support/stage.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  concat,
  drainGraves,
  forgetBlobs,
  graves,
  nameOf,
  objectAt,
  rowsOf,
} from '../../support/uploads.ts';

const FIRST = uniqueBytes(100);
const NEXT = uniqueBytes(60);

/** An upload that has received these bytes, and nothing else in the registry. */
async function aStartedUpload(received = FIRST) {
  await forgetBlobs();
  const world = openTestRegistry();
  const repository = await aRepository(world);
  const name = nameOf(repository);
  const { uploadId } = await anUpload(world, repository);
  await world.operations.appendChunk(name, uploadId, chunkOf(received));
  return {
    ...world,
    repository,
    name,
    uploadId,
    status: () => world.operations.uploadStatus(name, uploadId),
    expire: (gate: Gate) =>
      openTestRegistry({ gate, clock: world.clock }).housekeeping.expireUploads(),
    behind: (gate: Gate) => openTestRegistry({ gate, clock: world.clock }).operations,
  };
}

describe('stale uploads', () => {
  it('scenario 62 (blobs): one of 60 days ago goes, one of an hour ago stays', async ({
    expect,
  }) => {
    const { clock, operations, housekeeping, repository, name, uploadId, status } =
      await aStartedUpload();
    clock.advance(60 * DAY_MS - HOUR_MS);
    const young = await anUpload({ operations }, repository);
    clock.advance(HOUR_MS);
    expect(await housekeeping.expireUploads()).toBe(1);
    expect(await status()).toBeNull();
    expect(await operations.uploadStatus(name, young.uploadId)).not.toBeNull();
    expect(await graves()).toEqual([
      expect.stringMatching(/^key blobs\//),
      `prefix uploads/${uploadId}/`,
    ]);
  });

  it('are those idle for exactly 48 hours', async ({ expect }) => {
    const { clock, housekeeping, status } = await aStartedUpload();
    clock.advance(STALE_UPLOAD_MS - 1);
    expect(await housekeeping.expireUploads()).toBe(0);
    expect(await status()).not.toBeNull();
    clock.advance(1);
    expect(await housekeeping.expireUploads()).toBe(1);
    expect(await status()).toBeNull();
  });

  it('are those begun six days ago, however busy', async ({ expect }) => {
    const { clock, housekeeping, operations, name, uploadId } = await aStartedUpload();
    for (let elapsedMs = 0; elapsedMs < UPLOAD_LIFETIME_MS_MAX - DAY_MS; elapsedMs += DAY_MS) {
      clock.advance(DAY_MS);
      await operations.appendChunk(name, uploadId, chunkOf(NEXT));
      expect(await housekeeping.expireUploads()).toBe(0);
    }
    clock.advance(DAY_MS);
    expect(await housekeeping.expireUploads()).toBe(1);
  });

  it('are left alone while a writer holds them', async ({ expect }) => {
    const { clock, housekeeping, uploadId } = await aStartedUpload();
    clock.advance(UPLOAD_LIFETIME_MS_MAX);
    await execute(
      "UPDATE blob_upload SET state = 'writing', claim_token = 't', claim_until_ms = ? WHERE uuid = ?",
      clock.nowMs() + UPLOAD_CLAIM_MS,
      uploadId,
    );
    expect(await housekeeping.expireUploads()).toBe(0);
    clock.advance(UPLOAD_CLAIM_MS);
    expect(await housekeeping.expireUploads()).toBe(0);
    clock.advance(1);
    expect(await housekeeping.expireUploads()).toBe(1);
  });

  it('go with their parts, multipart, object and tail, once the grace is over', async ({
    expect,
  }) => {
    const { clock, housekeeping } = await aStartedUpload(uniqueBytes(UPLOAD_PART_BYTES + 10));
    const [row] = await rowsOf('SELECT object_key, tail_key FROM blob_upload');
    expect(await objectAt(String(row?.['tail_key']))).not.toBeNull();
    clock.advance(STALE_UPLOAD_MS);
    expect(await housekeeping.expireUploads()).toBe(1);
    expect(await rowsOf('SELECT * FROM blob_upload_part')).toEqual([]);
    expect(await housekeeping.drainTombstones()).toMatchObject({ taken: 0 });
    clock.advance(TOMBSTONE_GRACE_MS);
    expect(await housekeeping.drainTombstones()).toMatchObject({ taken: 3, removed: 3 });
    expect(await objectAt(String(row?.['tail_key']))).toBeNull();
    expect(await findViolations()).toEqual([]);
  });

  it('are given up a hundred at a time', async ({ expect }) => {
    const { clock, housekeeping, repository } = await aStartedUpload();
    const others = STALE_UPLOADS_PER_RUN_MAX + 10;
    await execute(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${others})
      INSERT INTO blob_upload (uuid, repository_id, location, object_key, part_size, sha_state,
        storage_metadata, state, version, created_ms, updated_ms)
      SELECT 'u' || i, ${repository.id}, 'r2', 'blobs/u' || i, 5242880, '', '{}', 'open', 0, 0, 0
      FROM n`,
    );
    clock.advance(STALE_UPLOAD_MS - 1);
    expect(await housekeeping.expireUploads()).toBe(STALE_UPLOADS_PER_RUN_MAX);
    expect(await housekeeping.expireUploads()).toBe(10);
    expect(await housekeeping.expireUploads()).toBe(0);
    expect(await rowsOf('SELECT uuid FROM blob_upload')).toHaveLength(1);
  });

  it('cost one look when there is none', async ({ expect }) => {
    const { clock } = await aStartedUpload();
    const { housekeeping, meter } = openTestRegistry({ clock });
    expect(await housekeeping.expireUploads()).toBe(0);
    expect(meter.usage.d1RoundTrips).toBe(1);
    expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(2);
  });

  it('are given up once, though an answer is lost', async ({ expect }) => {
    for (const fate of ['committed, then lost', 'lost before'] as const) {
      const upload = await aStartedUpload();
      upload.clock.advance(STALE_UPLOAD_MS);
      expect(await upload.expire(losing(['answered', fate]).gate)).toBe(1);
      expect(await upload.status()).toBeNull();
      expect(await graves()).toHaveLength(2);
    }
  });
});

describe('the expiry of uploads', () => {
  it('and a chunk: exactly one of the two wins', async ({ expect }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      upload.clock.advance(STALE_UPLOAD_MS);
      return {
        racers: [
          upload.expire,
          (gate: Gate) =>
            upload.behind(gate).appendChunk(upload.name, upload.uploadId, chunkOf(NEXT, 100)),
        ],
        check: async ([expiry, chunk], schedule) => {
          const expired = valueOf(expiry) === 1;
          expect((await upload.status()) === null, schedule).toBe(expired);
          // The chunk may have come too late for the row, or found it gone at its record.
          const received = codeOf(chunk) === null && valueOf(chunk) !== null;
          expect(received, schedule).toBe(!expired);
          expect(await findViolations(), schedule).toEqual([]);
          await drainGraves();
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('and a commit: exactly one of the two wins', async ({ expect }) => {
    const digest = await computeDigest('sha256', FIRST);
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      upload.clock.advance(STALE_UPLOAD_MS);
      return {
        racers: [
          upload.expire,
          (gate: Gate) =>
            upload.behind(gate).finishUpload(upload.name, upload.uploadId, closingAs(digest)),
        ],
        check: async ([expiry, commit], schedule) => {
          const expired = valueOf(expiry) === 1;
          const blob = valueOf(commit);
          expect(blob === null, schedule).toBe(expired);
          expect(await rowsOf('SELECT * FROM blob_upload'), schedule).toEqual([]);
          await drainGraves();
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I-CRASH: may stop at any call; an upload is whole or gone', async ({ expect }) => {
    const points = await crashEverywhere(async () => {
      const upload = await aStartedUpload();
      upload.clock.advance(STALE_UPLOAD_MS);
      return {
        operation: upload.expire,
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect(await findViolations(), what).toEqual([]);
          await drainGraves();
          expect(await findViolations(), what).toEqual([]);
          if ((await upload.status()) !== null) {
            const whole = concat(FIRST, NEXT);
            const { operations, name, uploadId } = upload;
            await operations.appendChunk(name, uploadId, chunkOf(NEXT, 100));
            const closing = closingAs(await computeDigest('sha256', whole));
            expect(await operations.finishUpload(name, uploadId, closing), what).not.toBeNull();
          }
        },
      };
    });
    expect(points).toHaveLength(4);
  });
});
