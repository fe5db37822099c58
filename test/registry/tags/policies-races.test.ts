import { describe, it } from 'vitest';

import { HOUR_MS } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openPolicyStage, type PolicyStage } from '../../support/policies.ts';
import { codeOf, valueOf } from '../../support/stage.ts';
import { seedTags, type TagSeed } from '../../support/tags.ts';

const VERSIONS = { tagPattern: 'v[0-9]+', tagPatternMatches: true };

const creating = (stage: PolicyStage, kind: 'repository' | 'namespace') => (gate: Gate) =>
  stage.policiesBehind(gate).createImmutabilityPolicy(stage[`${kind}Scope`], VERSIONS);

/** A stage with one image, whose tags cost no push. */
async function aStage() {
  const stage = await openPolicyStage();
  const image = await stage.image();
  await stage.push('first', image);
  return { stage, image };
}

/** The repository with no tags but these, and no policy. */
async function arrange(stage: PolicyStage, seeds: readonly TagSeed[]): Promise<void> {
  await stage.clearTags();
  await seedTags(stage.repository, seeds);
}

describe.for(['repository', 'namespace'] as const)('creating a policy of the %s', (kind) => {
  it('I9: while a tag that it locks is pushed leaves the newest generation locked', async ({
    expect,
  }) => {
    const { stage, image } = await aStage();
    const refusals: (string | null)[] = [];
    await interleaveAll(async () => {
      await arrange(stage, [{ name: 'v1' }]);
      return {
        racers: [creating(stage, kind), (gate) => stage.push('v1', image, gate)],
        check: async ([created, pushed], schedule) => {
          valueOf(created);
          const refusal = codeOf(pushed);
          refusals.push(refusal);
          expect(await stage.lockedNames(), schedule).toEqual(['v1']);
          const generations = await stage.generations('v1');
          expect(generations, schedule).toHaveLength(refusal === null ? 2 : 1);
        },
      };
    });
    expect(new Set(refusals)).toEqual(new Set([null, 'TagImmutable']));
    expect(await findViolations()).toEqual([]);
  });

  it('while a name is pushed that nobody had locks it, by the sweep or by the push', async ({
    expect,
  }) => {
    const { stage, image } = await aStage();
    const swept = new Set<number | undefined>();
    await interleaveAll(async () => {
      await arrange(stage, []);
      return {
        racers: [creating(stage, kind), (gate) => stage.push('v1', image, gate)],
        check: async ([created, pushed], schedule) => {
          const { tag } = valueOf(pushed);
          const lockedTags = valueOf(created)?.lockedTags;
          swept.add(lockedTags);
          expect(tag.immutable, schedule).toBe(lockedTags === 0);
          expect(await stage.lockedNames(), schedule).toEqual(['v1']);
        },
      };
    });
    expect(swept).toEqual(new Set([0, 1]));
  });
});

describe('creating a policy', () => {
  it('I9: while a tag that it locks is deleted locks it, or finds it gone', async ({ expect }) => {
    const { stage } = await aStage();
    const refusals: (string | null)[] = [];
    await interleaveAll(async () => {
      await arrange(stage, [{ name: 'v1' }]);
      return {
        racers: [
          creating(stage, 'repository'),
          (gate) => stage.behind(gate).deleteTag(stage.repository, 'v1'),
        ],
        check: async ([created, deleted], schedule) => {
          const refusal = codeOf(deleted);
          refusals.push(refusal);
          const [row] = await stage.generations('v1');
          const isLocked = Number(refusal !== null);
          expect(row, schedule).toMatchObject({ immutable: isLocked, is_current: isLocked });
          expect(valueOf(created)?.lockedTags, schedule).toBe(isLocked);
        },
      };
    });
    expect(new Set(refusals)).toEqual(new Set([null, 'TagImmutable']));
    expect(await findViolations()).toEqual([]);
  });

  it('I10: while such a tag expires locks it without its end, or leaves it to die', async ({
    expect,
  }) => {
    const { stage } = await aStage();
    const ends = new Set<unknown>();
    await interleaveAll(async () => {
      const endMs = stage.clock.nowMs() + HOUR_MS;
      await arrange(stage, [{ name: 'v1', endMs }]);
      return {
        racers: [
          creating(stage, 'repository'),
          (gate) =>
            gate({ store: 'd1', operation: 'wait' }, async () => stage.clock.advance(HOUR_MS)),
        ],
        check: async ([created], schedule) => {
          const [row] = await stage.generations('v1');
          const isLocked = valueOf(created)?.lockedTags === 1;
          ends.add(row?.['lifetime_end_ms'] === endMs);
          expect(row, schedule).toMatchObject({
            immutable: Number(isLocked),
            lifetime_end_ms: isLocked ? null : endMs,
          });
        },
      };
    });
    expect(ends).toEqual(new Set([true, false]));
  });
});

describe('a policy', () => {
  it('that is made twice at once is one of the two, and the other a duplicate', async ({
    expect,
  }) => {
    const { stage } = await aStage();
    await interleaveAll(async () => {
      await arrange(stage, [{ name: 'v1' }]);
      return {
        racers: [creating(stage, 'repository'), creating(stage, 'repository')],
        check: async (outcomes, schedule) => {
          const codes = new Set(outcomes.map((outcome) => codeOf(outcome)));
          expect(codes, schedule).toEqual(new Set([null, 'DuplicatePolicy']));
          const policies = await stage.operations.listImmutabilityPolicies(stage.repositoryScope);
          expect(policies, schedule).toHaveLength(1);
          expect(await stage.lockedNames()).toEqual(['v1']);
        },
      };
    });
  });

  it('that is updated while a tag is pushed leaves locked what the new content locks', async ({
    expect,
  }) => {
    const { stage, image } = await aStage();
    await interleaveAll(async () => {
      await arrange(stage, []);
      const { policy } = await stage.addPolicy('latest');
      return {
        racers: [
          (gate) =>
            stage
              .policiesBehind(gate)
              .updateImmutabilityPolicy(stage.repositoryScope, policy.uuid, VERSIONS),
          (gate) => stage.push('v1', image, gate),
        ],
        check: async (outcomes, schedule) => {
          outcomes.forEach((outcome) => valueOf<unknown>(outcome));
          expect(await stage.lockedNames(), schedule).toEqual(['v1']);
        },
      };
    });
  });

  it('that is updated twice at once has one content, and that one is swept', async ({ expect }) => {
    const { stage } = await aStage();
    const contents = new Set<string | undefined>();
    await interleaveAll(async () => {
      await arrange(stage, [{ name: 'v1' }]);
      const { policy } = await stage.addPolicy('x');
      const updating = (tagPattern: string) => (gate: Gate) =>
        stage
          .policiesBehind(gate)
          .updateImmutabilityPolicy(stage.repositoryScope, policy.uuid, { ...policy, tagPattern });
      return {
        racers: [updating('v.'), updating('w.')],
        check: async (outcomes, schedule) => {
          outcomes.forEach((outcome) => valueOf<unknown>(outcome));
          const [kept] = await stage.operations.listImmutabilityPolicies(stage.repositoryScope);
          contents.add(kept?.tagPattern);
          if (kept?.tagPattern === 'v.') {
            expect(await stage.lockedNames(), schedule).toEqual(['v1']);
          }
        },
      };
    });
    expect(contents).toEqual(new Set(['v.', 'w.']));
  });

  it('that is deleted while it is swept locks nothing after that', async ({ expect }) => {
    const { stage } = await aStage();
    const locked = new Set<unknown>();
    await interleaveAll(async () => {
      await arrange(stage, [{ name: 'latest' }]);
      const { policy } = await stage.addPolicy('v.');
      const content = { tagPattern: 'latest', tagPatternMatches: true };
      let lockedWhenDeleted: readonly string[] = [];
      return {
        racers: [
          (gate) =>
            stage
              .policiesBehind(gate)
              .updateImmutabilityPolicy(stage.repositoryScope, policy.uuid, content),
          async (gate) => {
            const { uuid } = policy;
            const scope = stage.repositoryScope;
            await stage.policiesBehind(gate).deleteImmutabilityPolicy(scope, uuid);
            lockedWhenDeleted = await stage.lockedNames();
          },
        ],
        check: async ([updated, deleted], schedule) => {
          valueOf(deleted);
          expect([null, 'PolicyNotFound'], schedule).toContain(codeOf(updated));
          expect(await stage.lockedNames(), schedule).toEqual(lockedWhenDeleted);
          locked.add(lockedWhenDeleted.length);
        },
      };
    });
    expect(locked).toEqual(new Set([0, 1]));
  });
});
