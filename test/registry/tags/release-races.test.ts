import { describe, it } from 'vitest';

import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { endingOf, FATES_OF_READ_AND_WRITE, losing } from '../../support/lost-answers.ts';
import { aReleaseStage, moveOf, RELEASER, stored } from '../../support/releases.ts';
import { change, codeOf, execute, select, valueOf } from '../../support/stage.ts';

const releases = async () => (await select('SELECT uuid FROM tag_release')).length;

describe('a release while', () => {
  it('another moves some of its tags is whole, before or after it', async ({ expect }) => {
    const { repository, ...stage } = await aReleaseStage();
    await interleaveAll(async () => {
      const { old, next, moves, before } = await stage.arrange();
      const back = ['b', 'c'].map((name) => moveOf(repository, name, next.digest));
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves, RELEASER),
          (gate) => stage.operationsBehind(gate).createRelease(back, RELEASER),
        ],
        check: async ([one, other], schedule) => {
          const [first, second] = [valueOf(one), valueOf(other)];
          // Each says truly what the tag was that both moved: one found what the other had made.
          const found = [first.moves[1], second.moves[0]].map((move) => move?.beforeDigest);
          expect(new Set(found), schedule).toEqual(new Set([old.digest, next.digest]));
          expect(await stage.generations('b')).toHaveLength(3);
          expect(await stage.digests()).toEqual([next.digest, next.digest]);
          expect(await stage.generation()).toBe(before + 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('another with the same condition: one of them is refused whole', async ({ expect }) => {
    const { repository, ...stage } = await aReleaseStage();
    const winners = new Set<string>();
    await interleaveAll(async () => {
      const { old, next } = await stage.arrange();
      const moves = (extra: string) => [
        moveOf(repository, extra, next.digest),
        moveOf(repository, 'a', next.digest, old.digest),
      ];
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves('x'), RELEASER),
          (gate) => stage.operationsBehind(gate).createRelease(moves('y'), RELEASER),
        ],
        check: async (outcomes, schedule) => {
          const codes = outcomes.map(codeOf);
          expect(new Set(codes), schedule).toEqual(new Set(['ReleaseRefused', null]));
          const winner = codes[0] === null ? 'x' : 'y';
          winners.add(winner);
          expect(await stage.names()).toEqual(['a', 'b', 'next', winner]);
          expect(await releases()).toBe(1);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(winners).toEqual(new Set(['x', 'y']));
  });

  it('one of its tags is pushed knows the digest that it took the tag from', async ({ expect }) => {
    const stage = await aReleaseStage();
    await interleaveAll(async () => {
      const { old, next, moves } = await stage.arrange();
      const image = await stage.image();
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves, RELEASER),
          (gate) => stage.push('b', image, gate),
        ],
        check: async ([released, pushed], schedule) => {
          const release = valueOf(released);
          const pushedId = valueOf(pushed).tag.id;
          const rows = await stage.generations('b');
          const isPushLast = rows.at(-1)?.['id'] === pushedId;
          expect(release.moves[1]?.beforeDigest, schedule).toBe(
            isPushLast ? old.digest : image.digest,
          );
          expect(await stage.digests()).toEqual([
            next.digest,
            isPushLast ? image.digest : next.digest,
          ]);
          expect(rows).toHaveLength(3);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('one of its tags is locked moves all before the lock, or none', async ({ expect }) => {
    const stage = await aReleaseStage();
    const seen = new Set<string | null>();
    await interleaveAll(async () => {
      const { old, next, moves } = await stage.arrange();
      const tag = await stage.registry.getRepoTag(stage.repository, 'b');
      if (tag === null) {
        throw new Error('there is no b');
      }
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves, RELEASER),
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
        ],
        check: async ([released, locked], schedule) => {
          const { ok } = valueOf(locked);
          seen.add(codeOf(released));
          expect(codeOf(released), schedule).toBe(ok ? 'ReleaseRefused' : null);
          const { digest } = ok ? old : next;
          expect(await stage.digests()).toEqual([digest, digest]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(seen).toEqual(new Set([null, 'ReleaseRefused']));
  });

  it('all tags of its manifest are locked by a label misses no lock', async ({ expect }) => {
    const stage = await aReleaseStage();
    await interleaveAll(async () => {
      const { next, moves } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves, RELEASER),
          change(
            `INSERT INTO manifest_label
              (uuid, manifest_id, repository_id, key, value, media_type, source_type)
              VALUES ('${crypto.randomUUID()}', ${next.id}, ${stage.repository.id},
                'quay.immutable', 'true', 'text/plain', 'api')`,
            `UPDATE tag SET immutable = 1, lifetime_end_ms = NULL WHERE manifest_id = ${next.id}`,
          ),
        ],
        check: async ([released], schedule) => {
          valueOf(released);
          expect((await stage.generations('a')).at(-1), schedule).toMatchObject({ immutable: 1 });
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('a policy that locks a name comes evaluates it, or is there before it', async ({ expect }) => {
    const stage = await aReleaseStage();
    const { id } = stage.repository;
    await interleaveAll(async () => {
      await execute('DELETE FROM repository_immutability_policy');
      const { moves } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves.slice(0, 1), RELEASER),
          change(
            `INSERT INTO repository_immutability_policy (uuid, repository_id, tag_pattern)
              VALUES ('${crypto.randomUUID()}', ${id}, 'a')`,
            `UPDATE repository SET immutability_epoch = immutability_epoch + 1 WHERE id = ${id}`,
          ),
          // The sweep of the policy is left out: what was there before it is not locked.
        ],
        check: async ([released], schedule) => {
          valueOf(released);
          const last = (await stage.generations('a')).at(-1);
          const isAfter = schedule.indexOf('B') < schedule.lastIndexOf('A');
          expect(last, schedule).toMatchObject({ immutable: Number(isAfter) });
        },
      };
    });
  });

  it('I11: its manifest is collected holds it, or is refused whole', async ({ expect }) => {
    const stage = await aReleaseStage();
    await interleaveAll(async () => {
      const { old, next, moves } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).createRelease(moves, RELEASER),
          change(
            "DELETE FROM tag WHERE name = 'next'",
            `DELETE FROM manifest WHERE id = ${next.id} AND NOT EXISTS
              (SELECT 1 FROM tag WHERE manifest_id = ${next.id}) RETURNING id`,
          ),
        ],
        check: async ([released, collected], schedule) => {
          const isCollected = valueOf(collected)[1]?.length === 1;
          expect(codeOf(released), schedule).toBe(isCollected ? 'ReleaseRefused' : null);
          const { digest } = isCollected ? old : next;
          expect(await stage.digests()).toEqual([digest, digest]);
        },
      };
    });
  });
});

describe('undoing a release', () => {
  it('twice at once undoes it once', async ({ expect }) => {
    const stage = await aReleaseStage();
    await interleaveAll(async () => {
      const { old, moves } = await stage.arrange();
      const release = await stage.operations.createRelease(moves, RELEASER);
      const undo = (gate: Gate) => stage.operationsBehind(gate).undoRelease(release, RELEASER);
      return {
        racers: [undo, undo],
        check: async (outcomes, schedule) => {
          expect(new Set(outcomes.map(codeOf)), schedule).toEqual(new Set(['ReleaseUndone', null]));
          expect(await stage.digests()).toEqual([old.digest, old.digest]);
          expect(await releases()).toBe(2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while it is forgotten undoes it before, or not at all', async ({ expect }) => {
    const stage = await aReleaseStage();
    const seen = new Set<string | null>();
    await interleaveAll(async () => {
      const { old, next, moves } = await stage.arrange();
      const release = await stage.operations.createRelease(moves, RELEASER);
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).undoRelease(release, RELEASER),
          change(`DELETE FROM tag_release WHERE uuid = '${release.uuid}' RETURNING undone_by_uuid`),
        ],
        check: async ([undone, forgotten], schedule) => {
          const isUndone = valueOf(forgotten)[0]?.[0]?.['undone_by_uuid'] !== null;
          seen.add(codeOf(undone));
          expect(codeOf(undone), schedule).toBe(isUndone ? null : 'ReleaseNotFound');
          const { digest } = isUndone ? old : next;
          expect(await stage.digests()).toEqual([digest, digest]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(seen).toEqual(new Set([null, 'ReleaseNotFound']));
  });

  it('while a tag of it is pushed takes nothing from the push', async ({ expect }) => {
    const stage = await aReleaseStage();
    await interleaveAll(async () => {
      const { old, moves, next } = await stage.arrange();
      const release = await stage.operations.createRelease(moves, RELEASER);
      const image = await stage.image();
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).undoRelease(release, RELEASER),
          (gate) => stage.push('b', image, gate),
        ],
        check: async ([undone, pushed], schedule) => {
          valueOf(pushed);
          const isUndone = codeOf(undone) === null;
          expect([null, 'ReleaseRefused'], schedule).toContain(codeOf(undone));
          expect(await stage.digests()).toEqual([
            isUndone ? old.digest : next.digest,
            image.digest,
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});

describe('a release that dies anywhere', () => {
  it('did nothing or all of it', async ({ expect }) => {
    const stage = await aReleaseStage();
    const points = await crashEverywhere(async () => {
      const { old, next, moves, before } = await stage.arrange();
      return {
        operation: (gate) => stage.operationsBehind(gate).createRelease(moves, RELEASER),
        check: async (point) => {
          const isDone = point.when === 'after' && point.callNumber === 2;
          const { digest } = isDone ? next : old;
          expect(await stage.digests(), JSON.stringify(point)).toEqual([digest, digest]);
          expect(await releases()).toBe(Number(isDone));
          expect(await stage.generation()).toBe(before + Number(isDone));
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(4);
  });
});

describe('a release whose answers are lost', () => {
  it.for([['is made'], ['is undone']] as const)(
    '%s once, and says so',
    async ([what], { expect }) => {
      const stage = await aReleaseStage();
      for (const fates of FATES_OF_READ_AND_WRITE) {
        // What it locks itself does not refuse it either.
        const { moves } = await stage.arrange(
          what === 'is made' ? { 'quay.immutable': 'true' } : {},
        );
        const made =
          what === 'is made' ? null : await stage.operations.createRelease(moves, RELEASER);
        const rows = await releases();
        const { gate, losses } = losing(fates);
        const operations = stage.operationsBehind(gate);
        const ending = await endingOf(
          made === null
            ? operations.createRelease(moves, RELEASER)
            : operations.undoRelease(made, RELEASER),
          losses,
        );
        const story = fates.join(', ');
        const more = (await releases()) - rows;
        expect((await stage.generations('a')).length, story).toBe(1 + rows + more);
        if ('given' in ending) {
          expect(more, story).toBe(1);
          expect(await stored(stage, ending.given), story).toEqual(ending.given);
        } else {
          expect(ending.losses, story).toBe(3);
          expect(more, story).toBeLessThanOrEqual(1);
        }
      }
      expect(await findViolations()).toEqual([]);
    },
  );
});
