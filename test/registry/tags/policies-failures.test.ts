import { describe, it } from 'vitest';

import { AnswerLost } from '../../../src/storage/d1/errors.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openPolicyStage, type PolicyStage } from '../../support/policies.ts';
import { seedTags } from '../../support/tags.ts';

const VERSIONS = { tagPattern: 'v.*', tagPatternMatches: true };

/** The calls up to one are done, that one and those after it are not. */
function failingFrom(callNumber: number, { last = Infinity } = {}): Gate {
  let calls = 0;
  return (_call, run) => {
    calls += 1;
    return calls >= callNumber && calls <= last
      ? Promise.reject(new Error(`call ${calls} failed`))
      : run();
  };
}

/** More tags than one page has. */
async function aStageOfTwoPages(): Promise<PolicyStage> {
  const stage = await openPolicyStage();
  await stage.push('v', await stage.image());
  const names = Array.from({ length: 600 }, (_, at) => ({ name: `v${at}` }));
  await seedTags(stage.repository, names);
  return stage;
}

/** The repository with no tags but these, and no policy. */
async function arrange(stage: PolicyStage, names: readonly string[]): Promise<void> {
  await stage.clearTags();
  await seedTags(
    stage.repository,
    names.map((name) => ({ name })),
  );
}

async function aStage(): Promise<PolicyStage> {
  const stage = await openPolicyStage();
  await stage.push('first', await stage.image());
  return stage;
}

const listed = ({ operations, repositoryScope }: PolicyStage) =>
  operations.listImmutabilityPolicies(repositoryScope);

describe('a sweep that fails', () => {
  it('in the middle takes the new policy away, and what it had locked stays so', async ({
    expect,
  }) => {
    const stage = await aStageOfTwoPages();
    // Policy, page, lock, page, and the second lock fails; then the policy is taken away.
    const failing = stage.policiesBehind(failingFrom(5, { last: 5 }));
    await expect(failing.createImmutabilityPolicy(stage.repositoryScope, VERSIONS)).rejects.toThrow(
      'call 5 failed',
    );
    expect(await listed(stage)).toEqual([]);
    expect(await stage.epochs()).toEqual([2, 0]);
    expect(await stage.lockedNames()).toHaveLength(500);
    const { tag } = await stage.push('v-new', await stage.image());
    expect(tag.immutable).toBe(false);
    expect(await stage.addPolicy('v.*')).toMatchObject({ lockedTags: 102 });
  });

  it('in the middle puts the old content of the policy back', async ({ expect }) => {
    const stage = await aStageOfTwoPages();
    const { policy } = await stage.addPolicy('latest');
    const { repositoryScope: scope } = stage;
    // A look at the policy comes before those.
    const failing = stage.policiesBehind(failingFrom(6, { last: 6 }));
    await expect(failing.updateImmutabilityPolicy(scope, policy.uuid, VERSIONS)).rejects.toThrow(
      'call 6 failed',
    );
    expect(await listed(stage)).toEqual([policy]);
    expect(await stage.epochs()).toEqual([3, 0]);
    expect(await stage.lockedNames()).toHaveLength(500);
    const image = await stage.image();
    expect((await stage.push('v-new', image)).tag.immutable).toBe(false);
    expect((await stage.push('latest', image)).tag.immutable).toBe(true);
  });

  it('leaves alone what somebody else made of the policy meanwhile', async ({ expect }) => {
    const stage = await openPolicyStage();
    await stage.push('v1', await stage.image());
    const { operations, repositoryScope: scope } = stage;
    const { policy } = await stage.addPolicy('x');
    const theirs = { uuid: policy.uuid, tagPattern: 'y', tagPatternMatches: true };
    let calls = 0;
    const failing = stage.policiesBehind(async (_call, run) => {
      calls += 1;
      if (calls !== 3) {
        return run();
      }
      await operations.updateImmutabilityPolicy(scope, policy.uuid, theirs);
      throw new Error('the page was not read');
    });
    await expect(failing.updateImmutabilityPolicy(scope, policy.uuid, VERSIONS)).rejects.toThrow(
      'the page was not read',
    );
    expect(await listed(stage)).toEqual([theirs]);
  });

  it('and whose policy cannot be taken back gives both errors, and can be run again', async ({
    expect,
  }) => {
    const stage = await aStageOfTwoPages();
    const { operations, repositoryScope: scope } = stage;
    const failing = stage.policiesBehind(failingFrom(5));
    const failed: unknown = await failing
      .createImmutabilityPolicy(scope, VERSIONS)
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(AggregateError);
    expect((failed as AggregateError).errors).toEqual([
      new Error('call 5 failed'),
      new Error('call 6 failed'),
    ]);
    const [policy] = await listed(stage);
    const swept = await operations.sweepImmutabilityPolicy(scope, String(policy?.uuid), null);
    expect(swept).toEqual({ policy, lockedTags: 101, cursor: null });
  });

  it('on its own leaves the policy as it is', async ({ expect }) => {
    const stage = await openPolicyStage();
    const { policy } = await stage.addPolicy('v.*');
    const failing = stage.policiesBehind(failingFrom(2));
    const { repositoryScope: scope } = stage;
    await expect(failing.sweepImmutabilityPolicy(scope, policy.uuid, null)).rejects.toThrow(
      'call 2 failed',
    );
    expect(await listed(stage)).toEqual([policy]);
  });
});

describe('a change of a policy that dies anywhere', () => {
  it('made none, or one whose sweep can be run again by the same update', async ({ expect }) => {
    const stage = await aStage();
    const left = new Set<number>();
    const points = await crashEverywhere(async () => {
      await arrange(stage, ['v1']);
      return {
        operation: (gate) =>
          stage.policiesBehind(gate).createImmutabilityPolicy(stage.repositoryScope, VERSIONS),
        check: async (point) => {
          const policies = await listed(stage);
          left.add(policies.length);
          for (const { uuid, ...content } of policies) {
            expect(content, JSON.stringify(point)).toEqual(VERSIONS);
            const scope = stage.repositoryScope;
            await stage.operations.updateImmutabilityPolicy(scope, uuid, content);
          }
          const locked = await stage.lockedNames();
          expect(locked, JSON.stringify(point)).toEqual(policies.length === 0 ? [] : ['v1']);
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(6);
    expect(left).toEqual(new Set([0, 1]));
  });

  it('left the old content, or the new one with its sweep to be run', async ({ expect }) => {
    const stage = await aStage();
    const points = await crashEverywhere(async () => {
      await arrange(stage, ['v1']);
      const { policy } = await stage.addPolicy('x');
      const scope = stage.repositoryScope;
      return {
        operation: (gate) =>
          stage.policiesBehind(gate).updateImmutabilityPolicy(scope, policy.uuid, VERSIONS),
        check: async (point) => {
          const [kept] = await listed(stage);
          expect(['x', 'v.*'], JSON.stringify(point)).toContain(kept?.tagPattern);
          await stage.operations.sweepImmutabilityPolicy(scope, policy.uuid, null);
          const locked = await stage.lockedNames();
          expect(locked, JSON.stringify(point)).toEqual(kept?.tagPattern === 'x' ? [] : ['v1']);
        },
      };
    });
    expect(points).toHaveLength(8);
  });

  it('deleted it, or did nothing', async ({ expect }) => {
    const stage = await aStage();
    await crashEverywhere(async () => {
      await arrange(stage, []);
      const { policy } = await stage.addPolicy('v.*');
      const scope = stage.repositoryScope;
      const before = await stage.epochs();
      return {
        operation: (gate) =>
          stage.policiesBehind(gate).deleteImmutabilityPolicy(scope, policy.uuid),
        check: async (point) => {
          const isGone = (await listed(stage)).length === 0;
          const raised = Number(await stage.epochs().then(([own]) => own)) - Number(before[0]);
          expect(raised, JSON.stringify(point)).toBe(Number(isGone));
        },
      };
    });
  });
});

const FATES = allFates(3);
const ATTEMPTS = 3;

describe('a change of a policy whose answers are lost', () => {
  it('makes one policy and says how many tags it locked, or says that it does not know', async ({
    expect,
  }) => {
    const stage = await aStage();
    for (const fates of FATES) {
      await arrange(stage, ['v1', 'v2']);
      const { gate, losses } = losing(fates);
      const { repositoryScope: scope } = stage;
      const [outcome] = await Promise.allSettled([
        stage.policiesBehind(gate).createImmutabilityPolicy(scope, VERSIONS),
      ]);
      const policies = await listed(stage);
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        expect(outcome.value, story).toEqual({ policy: policies[0], lockedTags: 2, cursor: null });
        expect(policies, story).toHaveLength(1);
      } else {
        expect(outcome.reason, story).toBeInstanceOf(AnswerLost);
        expect(losses(), story).toBeGreaterThanOrEqual(ATTEMPTS);
        expect(policies.length, story).toBeLessThanOrEqual(1);
      }
    }
  });

  it('updates it, or says that it does not know', async ({ expect }) => {
    const stage = await aStage();
    for (const fates of FATES) {
      await arrange(stage, ['v1']);
      const { policy } = await stage.addPolicy('x');
      const { gate } = losing(fates);
      const { repositoryScope: scope } = stage;
      const [outcome] = await Promise.allSettled([
        stage.policiesBehind(gate).updateImmutabilityPolicy(scope, policy.uuid, VERSIONS),
      ]);
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        const updated = { uuid: policy.uuid, ...VERSIONS };
        expect(outcome.value, story).toEqual({ policy: updated, lockedTags: 1, cursor: null });
        expect(await listed(stage), story).toEqual([updated]);
      } else {
        expect(outcome.reason, story).toBeInstanceOf(AnswerLost);
      }
    }
  });

  it('puts back what it replaced if the sweep fails after that', async ({ expect }) => {
    const stage = await aStage();
    for (const fates of FATES) {
      await arrange(stage, ['v1']);
      const { policy } = await stage.addPolicy('x');
      const { gate } = losing(fates);
      let hasFailed = false;
      const failing: Gate = async (call, run) => {
        const [kept] = await listed(stage);
        if (!hasFailed && call.operation === 'batch' && kept?.tagPattern === VERSIONS.tagPattern) {
          hasFailed = true;
          throw new Error('the tags were not locked');
        }
        return gate(call, run);
      };
      const { repositoryScope: scope } = stage;
      const [outcome] = await Promise.allSettled([
        stage.policiesBehind(failing).updateImmutabilityPolicy(scope, policy.uuid, VERSIONS),
      ]);
      const story = fates.join(', ');
      if (hasFailed) {
        expect(outcome, story).toMatchObject({ reason: new Error('the tags were not locked') });
        expect(await listed(stage), story).toEqual([policy]);
      } else {
        expect(outcome, story).toMatchObject({ reason: expect.any(AnswerLost) });
      }
    }
  });

  it('deletes it once, and gives what it was', async ({ expect }) => {
    const stage = await aStage();
    for (const fates of FATES) {
      await arrange(stage, []);
      const { policy } = await stage.addPolicy('v.*');
      const { gate, losses } = losing(fates);
      const { repositoryScope: scope } = stage;
      const [outcome] = await Promise.allSettled([
        stage.policiesBehind(gate).deleteImmutabilityPolicy(scope, policy.uuid),
      ]);
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        expect(outcome.value, story).toEqual(policy);
        expect(await listed(stage), story).toEqual([]);
      } else {
        expect([outcome.reason, losses()], story).toEqual([expect.any(AnswerLost), ATTEMPTS]);
      }
    }
  });
});
