import { RegistryError } from '../../model/errors.ts';
import type { PolicyScope } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { UniqueViolation } from '../../storage/d1/errors.ts';
import {
  type ImmutabilityPolicy,
  namespacePolicyStatements,
  type PolicyStatements,
  repositoryPolicyStatements,
  type StoredPolicy,
} from '../../storage/d1/policies.ts';
import type { Statement } from '../../storage/d1/statement.ts';
import type { RegistryDeps } from '../deps.ts';
import { LostRace, retryWrite } from '../retry-write.ts';
import { sendAgain } from '../send-again.ts';
import { requireValidPattern } from './policy-match.ts';
import { type Sweep, sweepTags } from './policy-sweep.ts';

export type { StoredPolicy } from '../../storage/d1/policies.ts';

/** A policy, and what became of the tags that were there before it. */
export interface SweptPolicy extends Sweep {
  readonly policy: StoredPolicy;
}

/**
 * Keeps the policies that lock tags by name. From the moment in which one is written every push
 * obeys it; the tags that are there already are then swept, as many as one invocation can do.
 * Nothing is ever unlocked.
 *
 * A sweep that fails takes the new policy away again, or puts the old one back, and its error is
 * thrown; tags that it had locked stay so. If that fails too, an `AggregateError` has both, and as
 * after a crash the policy is in force but not swept to the end: `sweepImmutabilityPolicy` does it,
 * or an update with the same content.
 *
 * Errors of all: PolicyNotFound while immutability is not enforced, for then there are no policies.
 */
export interface ImmutabilityPolicies {
  /** The scope's own policies, oldest first; a repository's namespace has its own. */
  listImmutabilityPolicies(scope: PolicyScope): Promise<readonly StoredPolicy[]>;
  getImmutabilityPolicy(scope: PolicyScope, uuid: string): Promise<StoredPolicy | null>;
  /**
   * Makes a policy; null: the scope is gone. `cursor` is there if tags are left for
   * `sweepImmutabilityPolicy`.
   * Errors: InvalidPolicy, DuplicatePolicy, whatever failed the sweep.
   */
  createImmutabilityPolicy(
    scope: PolicyScope,
    content: ImmutabilityPolicy,
  ): Promise<SweptPolicy | null>;
  /**
   * Gives a policy another content, or sweeps again if it is the same.
   * Errors: InvalidPolicy, DuplicatePolicy, PolicyNotFound, Conflict, whatever failed the sweep.
   */
  updateImmutabilityPolicy(
    scope: PolicyScope,
    uuid: string,
    content: ImmutabilityPolicy,
  ): Promise<SweptPolicy>;
  /** Removes a policy and gives what it was; its tags stay locked. Errors: PolicyNotFound, Conflict. */
  deleteImmutabilityPolicy(scope: PolicyScope, uuid: string): Promise<StoredPolicy>;
  /**
   * Goes on where a sweep stopped; a cursor of null sweeps from the start. A failure leaves the
   * policy as it is, and the cursor good for another call. Errors: PolicyNotFound.
   */
  sweepImmutabilityPolicy(
    scope: PolicyScope,
    uuid: string,
    cursor: string | null,
  ): Promise<SweptPolicy>;
}

export function createImmutabilityPolicies(deps: RegistryDeps): ImmutabilityPolicies {
  const { ids } = deps;
  return {
    async listImmutabilityPolicies(scope) {
      requireEnforcement(deps);
      return deps.database.primary.all(STATEMENTS[scope.kind].list({ ownerId: scope.id }));
    },

    async getImmutabilityPolicy(scope, uuid) {
      requireEnforcement(deps);
      return readPolicy(scope, uuid, deps);
    },

    async createImmutabilityPolicy(scope, content) {
      requireEnforcement(deps);
      requireValidPattern(content.tagPattern);
      const change = { scope, uuid: ids.uuid(), from: null, to: content };
      // By its uuid a batch that is sent again finds what it did when its answer was lost.
      const { policy } = await sendAgain(() => writeChange(change, deps));
      return policy === null ? null : sweepChange(policy, { ...change, deps });
    },

    async updateImmutabilityPolicy(scope, uuid, content) {
      requireEnforcement(deps);
      requireValidPattern(content.tagPattern);
      const { tagPattern, tagPatternMatches } = content;
      const from = await replacePolicy({ scope, uuid, to: content }, deps);
      return sweepChange(
        { uuid, tagPattern, tagPatternMatches },
        { scope, from, to: content, deps },
      );
    },

    async deleteImmutabilityPolicy(scope, uuid) {
      requireEnforcement(deps);
      return replacePolicy({ scope, uuid, to: null }, deps);
    },

    async sweepImmutabilityPolicy(scope, uuid, cursor) {
      requireEnforcement(deps);
      const policy = await readPolicy(scope, uuid, deps);
      if (policy === null) {
        throw new RegistryError('PolicyNotFound', { uuid });
      }
      return { policy, ...(await sweepTags(policy, { scope, cursor, deps })) };
    },
  };
}

const STATEMENTS: Readonly<Record<PolicyScope['kind'], PolicyStatements>> = {
  repository: repositoryPolicyStatements,
  namespace: namespacePolicyStatements,
};

function requireEnforcement({ settings }: RegistryDeps): void {
  if (!settings.immutableTags) {
    throw new RegistryError('PolicyNotFound', { uuid: null });
  }
}

function readPolicy(
  scope: PolicyScope,
  uuid: string,
  { database }: RegistryDeps,
): Promise<StoredPolicy | null> {
  return database.primary.first(STATEMENTS[scope.kind].get({ ownerId: scope.id, uuid }));
}

interface PolicyName {
  readonly scope: PolicyScope;
  readonly uuid: string;
}

/** What a policy was and what it becomes; null: it is not there. */
type PolicyChange = PolicyName &
  (
    | { readonly from: null; readonly to: ImmutabilityPolicy }
    | { readonly from: ImmutabilityPolicy; readonly to: ImmutabilityPolicy | null }
  );

/**
 * Replaces what a policy is now, whatever that is, and gives it. Begins again if somebody else
 * replaced it after it was read. Errors: PolicyNotFound, DuplicatePolicy, Conflict.
 */
async function replacePolicy(
  { scope, uuid, to }: PolicyName & { to: ImmutabilityPolicy | null },
  deps: RegistryDeps,
): Promise<StoredPolicy> {
  let replaced: StoredPolicy | null = null;
  return retryWrite(async ({ answerLost }) => {
    const current = await readPolicy(scope, uuid, deps);
    if (answerLost && replaced !== null && isSame(current, to)) {
      return replaced;
    }
    if (current === null) {
      throw new RegistryError('PolicyNotFound', { uuid });
    }
    replaced = current;
    const { isDone } = await writeChange({ scope, uuid, from: current, to }, deps);
    if (!isDone) {
      throw new LostRace(null);
    }
    return current;
  });
}

/**
 * Writes a change, if the policy is what it was, and the epoch of its scope in the same batch, so
 * that a push which evaluated the policies before begins again.
 */
async function writeChange(
  change: PolicyChange,
  { database }: RegistryDeps,
): Promise<{ isDone: boolean; policy: StoredPolicy | null }> {
  const { scope, uuid, to } = change;
  const statements = STATEMENTS[scope.kind];
  const batch = new Batch();
  const changed = batch.add(changeStatement(change));
  batch.add(statements.raiseEpoch({ ownerId: scope.id }));
  const current = batch.add(statements.get({ ownerId: scope.id, uuid }));
  try {
    const results = await batch.run(database.primary);
    return { isDone: results.firstOf(changed) !== null, policy: results.firstOf(current) };
  } catch (error) {
    throw error instanceof UniqueViolation && to !== null
      ? new RegistryError('DuplicatePolicy', { tagPattern: to.tagPattern })
      : error;
  }
}

function changeStatement({ scope, uuid, ...change }: PolicyChange): Statement<{ uuid: string }> {
  const statements = STATEMENTS[scope.kind];
  const policy = { ownerId: scope.id, uuid };
  if (change.from === null) {
    return statements.insert({ ...policy, ...toContentValues(change.to) });
  }
  const read = { ...policy, ...toContentValues(change.from) };
  return change.to === null
    ? statements.remove(read)
    : statements.update({
        ...read,
        newPattern: change.to.tagPattern,
        newPatternMatches: Number(change.to.tagPatternMatches),
      });
}

/** Only what a policy's content is, as a statement takes it. */
function toContentValues({ tagPattern, tagPatternMatches }: ImmutabilityPolicy) {
  return { tagPattern, tagPatternMatches: Number(tagPatternMatches) };
}

function isSame(one: ImmutabilityPolicy | null, other: ImmutabilityPolicy | null): boolean {
  return (
    one?.tagPattern === other?.tagPattern && one?.tagPatternMatches === other?.tagPatternMatches
  );
}

/** Sweeps after a change; if that fails, changes back what nobody else has changed meanwhile. */
async function sweepChange(
  policy: StoredPolicy,
  {
    from,
    to,
    deps,
    scope,
  }: Pick<PolicyName, 'scope'> & {
    from: ImmutabilityPolicy | null;
    to: ImmutabilityPolicy;
    deps: RegistryDeps;
  },
): Promise<SweptPolicy> {
  try {
    return { policy, ...(await sweepTags(policy, { scope, cursor: null, deps })) };
  } catch (error) {
    const undo = { scope, uuid: policy.uuid, from: to, to: from };
    try {
      await sendAgain(() => writeChange(undo, deps));
    } catch (undoError) {
      throw new AggregateError([error, undoError], 'the sweep failed and its policy stays', {
        cause: undoError,
      });
    }
    throw error;
  }
}
