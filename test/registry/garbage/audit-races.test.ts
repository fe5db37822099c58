import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { AnswerLost } from '../../../src/storage/d1/errors.ts';
import { HOUR_MS, type TestClock } from '../../support/clock.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { codeOf, execute, openStage, select, type Stage } from '../../support/stage.ts';
import { anUpload, chunkOf, closingAs, drainGraves, nameOf } from '../../support/uploads.ts';
import {
  auditAll,
  forgetAll,
  lateClock,
  NOTHING,
  plant,
  PLANTED,
  remains,
  replant,
} from './audit-world.ts';

/** A pass that has come to this stage; no other begins after it. */
async function standAt(stage: string): Promise<void> {
  await execute('DELETE FROM gc_audit');
  await execute(`INSERT INTO gc_audit (began_ms, stage) VALUES (9000000000000, '${stage}')`);
}

/** What the one pass that there is found so far. */
async function foundSoFar() {
  const { running, finished } = await openTestRegistry().operations.readAudit();
  return (running ?? finished)?.found;
}

/**
 * Looks at a page of the stage that the pass stands at, and at some more. So many of its calls take
 * turns with the other racer: those behind the one that opens the pass.
 */
const auditPage =
  (clock: TestClock, turns: number) =>
  (gate: Gate): Promise<unknown> => {
    let calls = 0;
    const behindOpening: Gate = (call, run) => {
      calls += 1;
      return calls === 1 || calls > 1 + turns ? run() : gate(call, run);
    };
    const { housekeeping } = openTestRegistry({ clock, gate: behindOpening });
    return housekeeping.auditStores({ statements: 6, sampledBlobs: 0 });
  };

/** Lets through what changes nothing in R2: to stop there is to stop at the call before. */
const behindReads =
  (gate: Gate): Gate =>
  (call, run) =>
    ['head', 'list'].includes(call.operation) ? run() : gate(call, run);

/** What garbage collection and the drain will look at. */
const lists = () =>
  select(`SELECT 'manifest ' || manifest_id AS listed FROM gc_manifest_candidate
    UNION ALL SELECT 'blob ' || blob_id FROM gc_blob_candidate
    UNION ALL SELECT 'key ' || object_key FROM r2_tombstone
    UNION ALL SELECT repository_id || ' ' || policy_s || ' ' || coalesce(earliest_end_ms, '-')
      || ' ' || coalesce(earliest_lease_ms, '-') FROM repository_gc ORDER BY listed`);

describe('the audit', () => {
  it('I-CRASH: may stop at any call, and counts nothing twice', async ({ expect }) => {
    await plant();
    await auditAll(openTestRegistry({ clock: lateClock() }));
    const listed = await lists();
    expect(listed).toHaveLength(11);
    const points = await crashEverywhere(async () => {
      await replant();
      const clock = lateClock();
      return {
        operation: (gate) => auditAll(openTestRegistry({ clock, gate: behindReads(gate) })),
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect((await auditAll(openTestRegistry({ clock }))).found, what).toEqual(PLANTED);
          expect(await lists(), what).toEqual(listed);
        },
      };
    });
    expect(points.length).toBeGreaterThan(25);
  });

  it('counts nothing twice when an answer of the database is lost', async ({ expect }) => {
    await plant();
    let isLost = true;
    for (let lost = 1; isLost; lost += 1) {
      await replant();
      const clock = lateClock();
      isLost = false;
      let calls = 0;
      const gate: Gate = async (call, run) => {
        const result = await run();
        calls += call.store === 'd1' ? 1 : 0;
        if (call.store === 'd1' && calls === lost) {
          isLost = true;
          throw new Error('D1_ERROR: Network connection lost.');
        }
        return result;
      };
      const [outcome] = await Promise.allSettled([auditAll(openTestRegistry({ clock, gate }))]);
      if (outcome.status === 'rejected' && !(outcome.reason instanceof AnswerLost)) {
        throw outcome.reason;
      }
      expect((await auditAll(openTestRegistry({ clock }))).found, `call ${lost}`).toEqual(PLANTED);
    }
  });

  it('I-IDEM: another audit may run between any two of its calls', async ({ expect }) => {
    await plant();
    const orders = await interleaveAll(async () => {
      await replant();
      const clock = lateClock();
      return {
        racers: [
          (gate: Gate) => auditAll(openTestRegistry({ clock, gate: behindReads(gate) })),
          (gate: Gate) =>
            gate({ store: 'd1', operation: 'audit' }, () => auditAll(openTestRegistry({ clock }))),
        ],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          expect(await auditAll(openTestRegistry({ clock })), schedule).toMatchObject({
            found: PLANTED,
            checked: { repositories: 4, manifests: 5, blobs: 6, objects: 9 },
          });
          expect(await select('SELECT id FROM gc_audit'), schedule).toHaveLength(1);
        },
      };
    });
    expect(orders).toBeGreaterThan(10);
  });

  it('counts no object whose tombstone is drained meanwhile', async ({ expect }) => {
    const keys = ['uploads/u/tail-1', 'uploads/v/tail-1'];
    const orders = await interleaveAll(async () => {
      await forgetAll();
      const clock = lateClock();
      await Promise.all(keys.map((key) => env.BUCKET.put(key, 'bytes')));
      await execute(`INSERT INTO r2_tombstone (object_key, kind, not_before_ms, created_ms)
        VALUES ('uploads/u/', 'prefix', 0, 0), ('uploads/v/tail-1', 'key', 0, 0)`);
      await standAt('upload-objects');
      return {
        racers: [
          auditPage(clock, 6),
          (gate: Gate) => openTestRegistry({ clock, gate }).housekeeping.drainTombstones(),
        ],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          expect(await auditAll(openTestRegistry({ clock })), schedule).toMatchObject({
            found: NOTHING,
          });
          expect(await remains(), schedule).toMatchObject({ graves: [], objects: [] });
        },
      };
    });
    expect(orders).toBeGreaterThan(20);
  });
});

/** What a push does, by the stage of the audit that looks at what it makes. */
const PUSHES: readonly {
  readonly stage: string;
  readonly what: string;
  readonly push: (stage: Stage) => Promise<(gate: Gate) => Promise<unknown>>;
}[] = [
  {
    stage: 'manifests',
    what: 'a manifest',
    push: async (stage) => {
      const image = await stage.image();
      return (gate) => stage.push('v1', image, gate);
    },
  },
  {
    stage: 'manifest-objects',
    what: 'a manifest above 1,000,000 bytes',
    push: async (stage) => {
      const image = await stage.image({ padding: 1_100_000 });
      return (gate) => stage.push('v1', image, gate);
    },
  },
  {
    stage: 'upload-objects',
    what: 'a chunk',
    push: async (stage) => {
      const { uploadId } = await anUpload(stage, stage.repository);
      return (gate) =>
        stage
          .operationsBehind(gate)
          .appendChunk(nameOf(stage.repository), uploadId, chunkOf(uniqueBytes()));
    },
  },
  ...(['blobs', 'blob-objects'] as const).map((stageName) => ({
    stage: stageName,
    what: 'the last of a blob',
    push: async (stage: Stage) => {
      const bytes = uniqueBytes();
      const digest = await computeDigest('sha256', bytes);
      const { uploadId } = await anUpload(stage, stage.repository);
      const name = nameOf(stage.repository);
      await stage.operations.appendChunk(name, uploadId, chunkOf(bytes));
      return (gate: Gate) =>
        stage.operationsBehind(gate).finishUpload(name, uploadId, closingAs(digest));
    },
  })),
];

describe('the audit and a push, in every order', () => {
  it.for(PUSHES)(
    'find nothing wrong: $what, at $stage',
    async ({ stage: at, push }, { expect }) => {
      const clock = lateClock();
      const stage = await openStage({ clock });
      // So that rows are old at once, as objects are by this clock.
      const auditClock = lateClock();
      auditClock.advance(48 * HOUR_MS);
      const orders = await interleaveAll(async () => {
        await stage.clear();
        await standAt(at);
        return {
          racers: [auditPage(auditClock, at.endsWith('objects') ? 2 : 1), await push(stage)],
          check: async (outcomes, schedule) => {
            expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
            expect(await foundSoFar(), schedule).toEqual(NOTHING);
            expect(await findViolations(), schedule).toEqual([]);
            await drainGraves();
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
      expect(orders).toBeGreaterThan(3);
    },
  );

  it('of a manifest that was lost sight of: what is pushed again stays', async ({ expect }) => {
    const stage = await openStage({ clock: lateClock() });
    const { clock } = stage;
    await stage.image();
    await execute('UPDATE uploaded_blob SET expires_ms = 9000000000000');
    const counted = new Set<number>();
    const orders = await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image();
      await stage.push('v1', image);
      await execute('DELETE FROM tag');
      await execute('UPDATE manifest SET created_ms = 0');
      await standAt('manifests');
      return {
        racers: [auditPage(clock, 2), (gate: Gate) => stage.push('v2', image, gate)],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          counted.add(Number((await foundSoFar())?.unlistedManifests));
          await stage.housekeeping.collectGarbage();
          expect(await stage.names(), schedule).toEqual(['v2']);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(orders).toBeGreaterThan(5);
    // The audit found it where it came first.
    expect(counted).toEqual(new Set([0, 1]));
  });
});
