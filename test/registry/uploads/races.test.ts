import { describe, type ExpectStatic, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { interleaveAll, type Outcome } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { change, codeOf } from '../../support/stage.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  concat,
  drainGraves,
  forgetBlobs,
  nameOf,
  objectAt,
  rowsOf,
} from '../../support/uploads.ts';

const FIRST = uniqueBytes(100);
const ONE = uniqueBytes(60);
const OTHER = uniqueBytes(90);

/** An upload that has received a first chunk, in a registry that has no other blob. */
async function aStartedUpload() {
  await forgetBlobs();
  const world = openTestRegistry();
  const repository = await aRepository(world);
  const name = nameOf(repository);
  const { uploadId } = await anUpload(world, repository);
  await world.operations.appendChunk(name, uploadId, chunkOf(FIRST));
  const { clock } = world;
  const behind = (gate: Gate) => openTestRegistry({ gate, clock }).operations;
  return {
    world,
    name,
    repository,
    uploadId,
    behind,
    append: (bytes: Bytes, offset: number | null) => (gate: Gate) =>
      behind(gate).appendChunk(name, uploadId, chunkOf(bytes, offset)),
    finish: async (bytes: Bytes) => {
      const digest = await computeDigest('sha256', bytes);
      return (gate: Gate) => behind(gate).finishUpload(name, uploadId, closingAs(digest));
    },
    cancel: (gate: Gate) => behind(gate).cancelUpload(name, uploadId),
    status: () => world.operations.uploadStatus(name, uploadId),
  };
}

/** What each ended with: the code of a refusal, `null` for null, else `done`. */
function endingOf(outcome: Outcome<unknown>): string | null {
  return outcome.status === 'rejected' ? codeOf(outcome) : outcome.value === null ? null : 'done';
}

async function expectSound(expect: ExpectStatic, schedule: string): Promise<void> {
  expect(await findViolations(), schedule).toEqual([]);
  await drainGraves();
  expect(await findViolations(), schedule).toEqual([]);
}

describe('two writers of one upload', () => {
  it('scenario 68 (blobs): I-SINGLE: at one offset, exactly one succeeds', async ({ expect }) => {
    const count = await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [upload.append(ONE, 100), upload.append(OTHER, 100)],
        check: async ([one, other], schedule) => {
          const endings = [endingOf(one), endingOf(other)];
          expect(endings, schedule).toContain('done');
          const loser = endings[0] === 'done' ? endings[1] : endings[0];
          expect(['UploadConflict', 'UploadRange'], schedule).toContain(loser);
          expect(await findViolations(), schedule).toEqual([]);
          const whole = concat(FIRST, endings[0] === 'done' ? ONE : OTHER);
          const digest = await computeDigest('sha256', whole);
          const { operations } = upload.world;
          const blob = await operations.finishUpload(
            upload.name,
            upload.uploadId,
            closingAs(digest),
          );
          expect(await objectAt(blob?.objectKey ?? ''), schedule).toEqual(whole);
        },
      };
    });
    expect(count).toBeGreaterThan(5);
  });

  it('I-COUNT: wherever it stands, each body is there once and whole, or not at all', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [upload.append(ONE, null), upload.append(OTHER, null)],
        check: async ([one, other], schedule) => {
          const endings = [endingOf(one), endingOf(other)];
          for (const ending of endings) {
            expect(['done', 'UploadConflict'], schedule).toContain(ending);
          }
          const lengths = [ONE, OTHER].map((bytes, at) =>
            endings[at] === 'done' ? bytes.byteLength : 0,
          );
          const byteCount = lengths.reduce((sum, length) => sum + length, FIRST.byteLength);
          expect(await upload.status(), schedule).toMatchObject({ byteCount, state: 'open' });
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});

describe('a commit', () => {
  it('I-SINGLE: and another one: one gives the blob, the other a conflict or nothing', async ({
    expect,
  }) => {
    const count = await interleaveAll(async () => {
      const upload = await aStartedUpload();
      const finish = await upload.finish(FIRST);
      return {
        racers: [finish, finish],
        check: async (outcomes, schedule) => {
          const endings = outcomes.map(endingOf);
          expect(endings, schedule).toContain('done');
          const loser = endings[0] === 'done' ? endings[1] : endings[0];
          expect(['UploadConflict', null], schedule).toContain(loser);
          expect(await rowsOf('SELECT count(*) AS n FROM blob')).toEqual([{ n: 1 }]);
          await expectSound(expect, schedule);
        },
      };
    });
    expect(count).toBeGreaterThan(10);
  });

  it('against a wrong digest: the wrong one never cancels a commit under way', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [await upload.finish(FIRST), await upload.finish(OTHER)],
        check: async ([right, wrong], schedule) => {
          const endings = [endingOf(right), endingOf(wrong)];
          // Whoever claims first decides; the mismatch cancels only what it holds itself.
          const legal = [
            ['done', 'UploadConflict'],
            ['done', null],
            ['UploadConflict', 'DigestMismatch'],
            [null, 'DigestMismatch'],
          ];
          expect(legal, schedule).toContainEqual(endings);
          await expectSound(expect, schedule);
        },
      };
    });
  });

  it('against a cancellation: a blob or nothing, and no object without an owner', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [await upload.finish(FIRST), upload.cancel],
        check: async ([finished, cancelled], schedule) => {
          expect(cancelled.status, schedule).toBe('fulfilled');
          const stored = finished.status === 'fulfilled' && finished.value !== null;
          const [row] = await rowsOf('SELECT count(*) AS n FROM blob');
          expect(row, schedule).toEqual({ n: stored ? 1 : 0 });
          expect(stored, schedule).toBe(cancelled.status === 'fulfilled' && !cancelled.value);
          expect(await upload.status(), schedule).toBeNull();
          await expectSound(expect, schedule);
        },
      };
    });
  });

  it('against a chunk: the blob is what its digest says, or the chunk is kept', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [await upload.finish(FIRST), upload.append(ONE, 100)],
        check: async (outcomes, schedule) => {
          const endings = outcomes.map(endingOf);
          const legal = [
            ['done', 'UploadConflict'],
            ['done', null],
            ['UploadConflict', 'done'],
            ['DigestMismatch', 'done'],
          ];
          expect(legal, schedule).toContainEqual(endings);
          await expectSound(expect, schedule);
        },
      };
    });
  });

  it('I-FROZEN: against the deletion of its repository: a lease before it, or none', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [
          await upload.finish(FIRST),
          change(`UPDATE repository SET state = 3 WHERE id = ${upload.repository.id}`),
        ],
        check: async ([finished], schedule) => {
          const leases = await rowsOf('SELECT * FROM uploaded_blob');
          expect(leases, schedule).toHaveLength(endingOf(finished) === 'done' ? 1 : 0);
          expect([null, 'done'], schedule).toContain(endingOf(finished));
          await expectSound(expect, schedule);
        },
      };
    });
  });
});

describe('a chunk', () => {
  it('against a cancellation ends with it, and leaves no object without an owner', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const upload = await aStartedUpload();
      return {
        racers: [upload.append(ONE, 100), upload.cancel],
        check: async (outcomes, schedule) => {
          expect(outcomes[1], schedule).toEqual({ status: 'fulfilled', value: true });
          expect([null, 'done', 'UploadConflict'], schedule).toContain(endingOf(outcomes[0]));
          expect(await upload.status(), schedule).toBeNull();
          await expectSound(expect, schedule);
        },
      };
    });
  });
});

describe('two uploads of one digest', () => {
  it('I-ONE: become one blob; the object of the one that came later is buried', async ({
    expect,
  }) => {
    const count = await interleaveAll(async () => {
      const { behind, name, world } = await aStartedUpload();
      const otherName = nameOf(await aRepository(world));
      const digest = await computeDigest('sha256', ONE);
      const whole = (into: typeof name) => (gate: Gate) =>
        behind(gate).uploadWhole(into, closingWith(digest, ONE));
      return {
        racers: [whole(name), whole(otherName)],
        check: async ([one, other], schedule) => {
          expect([endingOf(one), endingOf(other)], schedule).toEqual(['done', 'done']);
          expect(one, schedule).toEqual(other);
          expect(await rowsOf('SELECT count(*) AS n FROM blob')).toEqual([{ n: 1 }]);
          expect(await rowsOf('SELECT count(*) AS n FROM uploaded_blob')).toEqual([{ n: 2 }]);
          expect(await rowsOf("SELECT count(*) AS n FROM r2_tombstone WHERE kind = 'key'")).toEqual(
            [{ n: 1 }],
          );
          await expectSound(expect, schedule);
        },
      };
    });
    expect(count).toBeGreaterThan(5);
  });

  it('against garbage collection of the blob: a row of its own, or the one that stays', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const { world, name, behind } = await aStartedUpload();
      const digest = await computeDigest('sha256', ONE);
      await world.operations.uploadWhole(name, closingWith(digest, ONE));
      await rowsOf('DELETE FROM uploaded_blob');
      const unused = `SELECT id FROM blob b WHERE b.digest = '${digest}' AND NOT EXISTS
        (SELECT 1 FROM uploaded_blob l WHERE l.blob_id = b.id)`;
      return {
        racers: [
          (gate: Gate) => behind(gate).uploadWhole(name, closingWith(digest, ONE)),
          change(
            `INSERT INTO r2_tombstone (object_key, kind, not_before_ms, created_ms)
               SELECT object_key, 'key', 0, 0 FROM blob WHERE id IN (${unused})`,
            `DELETE FROM blob WHERE id IN (${unused})`,
          ),
        ],
        check: async ([stored], schedule) => {
          expect(endingOf(stored), schedule).toBe('done');
          await expectSound(expect, schedule);
          expect(await rowsOf('SELECT digest FROM blob'), schedule).toEqual([{ digest }]);
        },
      };
    });
  });
});
