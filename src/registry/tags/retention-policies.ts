import { RegistryError } from '../../model/errors.ts';
import { RETENTION_AGE_SEC_MAX, RETENTION_TAGS_MAX } from '../../model/limits.ts';
import type { PolicyScope } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { UniqueViolation } from '../../storage/d1/errors.ts';
import {
  namespaceRetentionStatements,
  repositoryRetentionStatements,
  type RetentionPolicy,
  type RetentionStatements,
  type StoredRetentionPolicy,
} from '../../storage/d1/retention-policies.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { requireValidPattern } from './policy-match.ts';

export type {
  RetentionPolicy,
  StoredRetentionPolicy,
} from '../../storage/d1/retention-policies.ts';

/**
 * Keeps the policies that end tags because newer ones came, or because they are old. Nothing ends
 * when one is written: cron applies them, soon after and then every hour.
 */
export interface RetentionPolicies {
  /** The scope's own policies, oldest first; a repository's namespace has its own. */
  listRetentionPolicies(scope: PolicyScope): Promise<readonly StoredRetentionPolicy[]>;
  getRetentionPolicy(scope: PolicyScope, uuid: string): Promise<StoredRetentionPolicy | null>;
  /** Makes a policy; null: the scope is gone. Errors: InvalidPolicy, DuplicatePolicy. */
  createRetentionPolicy(
    scope: PolicyScope,
    content: RetentionPolicy,
  ): Promise<StoredRetentionPolicy | null>;
  /** Gives a policy another content. Errors: InvalidPolicy, DuplicatePolicy, PolicyNotFound. */
  updateRetentionPolicy(
    scope: PolicyScope,
    uuid: string,
    content: RetentionPolicy,
  ): Promise<StoredRetentionPolicy>;
  /** Removes a policy, which ends no tag from then on, and gives it. Errors: PolicyNotFound. */
  deleteRetentionPolicy(scope: PolicyScope, uuid: string): Promise<StoredRetentionPolicy>;
}

export function createRetentionPolicies(deps: RegistryDeps): RetentionPolicies {
  const { database, ids } = deps;
  const read = (scope: PolicyScope, uuid: string) =>
    database.primary.first(STATEMENTS[scope.kind].get({ ownerId: scope.id, uuid }));
  return {
    async listRetentionPolicies(scope) {
      return database.primary.all(STATEMENTS[scope.kind].list({ ownerId: scope.id }));
    },

    getRetentionPolicy: read,

    async createRetentionPolicy(scope, content) {
      return write('insert', { scope, uuid: ids.uuid(), content }, deps);
    },

    async updateRetentionPolicy(scope, uuid, content) {
      return found(await write('update', { scope, uuid, content }, deps), uuid);
    },

    async deleteRetentionPolicy(scope, uuid) {
      const policy = found(await read(scope, uuid), uuid);
      const remove = STATEMENTS[scope.kind].remove({ ownerId: scope.id, uuid });
      return sendAgain(async (isAgain) => {
        const removed = await database.primary.first(remove);
        // Gone at the second time, it went at the first, whose answer was lost.
        return found(removed === null && !isAgain ? null : policy, uuid);
      });
    },
  };
}

const STATEMENTS: Readonly<Record<PolicyScope['kind'], RetentionStatements>> = {
  repository: repositoryRetentionStatements,
  namespace: namespaceRetentionStatements,
};

function found(policy: StoredRetentionPolicy | null, uuid: string): StoredRetentionPolicy {
  if (policy === null) {
    throw new RegistryError('PolicyNotFound', { uuid });
  }
  return policy;
}

/** Writes a content and has it applied soon; null: what it is written to is not there. */
async function write(
  how: 'insert' | 'update',
  {
    scope,
    uuid,
    content,
  }: { readonly scope: PolicyScope; readonly uuid: string; readonly content: RetentionPolicy },
  { database, clock }: RegistryDeps,
): Promise<StoredRetentionPolicy | null> {
  requireValid(content);
  const statements = STATEMENTS[scope.kind];
  const policy = { ownerId: scope.id, uuid };
  try {
    // What is written twice, as an answer was lost, is the same.
    return await sendAgain(async () => {
      const batch = new Batch();
      batch.add(statements[how]({ ...policy, ...toContentValues(content) }));
      batch.add(statements.schedule({ ownerId: scope.id, nowMs: clock.nowMs() }));
      const current = batch.add(statements.get(policy));
      return (await batch.run(database.primary)).firstOf(current);
    });
  } catch (error) {
    throw error instanceof UniqueViolation
      ? new RegistryError('DuplicatePolicy', { tagPattern: content.tagPattern })
      : error;
  }
}

/** Errors: InvalidPolicy. */
function requireValid(content: RetentionPolicy): void {
  const [value, max] =
    content.method === 'number_of_tags'
      ? [content.tagsMax, RETENTION_TAGS_MAX]
      : [content.ageMaxSec, RETENTION_AGE_SEC_MAX];
  if (!Number.isInteger(value) || value < 1 || value > max) {
    const unit = content.method === 'number_of_tags' ? 'tags' : 'seconds';
    throw new RegistryError('InvalidPolicy', {
      field: 'value',
      reason: `1 to ${max} ${unit} are kept, not ${value}`,
    });
  }
  if (content.tagPattern !== null) {
    requireValidPattern(content.tagPattern);
  } else if (!content.tagPatternMatches) {
    throw new RegistryError('InvalidPolicy', {
      field: 'tagPatternMatches',
      reason: 'no name fails to match no pattern',
    });
  }
}

/** A policy's content as a statement takes it. */
function toContentValues(content: RetentionPolicy) {
  const { tagPattern, tagPatternMatches } = content;
  return {
    tagsMax: content.method === 'number_of_tags' ? content.tagsMax : null,
    ageMaxSec: content.method === 'creation_date' ? content.ageMaxSec : null,
    tagPattern,
    tagPatternMatches: Number(tagPatternMatches),
  };
}
