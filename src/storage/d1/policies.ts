import { sql } from 'drizzle-orm';

import {
  namespace,
  namespaceImmutabilityPolicy,
  repository,
  repositoryImmutabilityPolicy,
} from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

/** A repository as a write must see it: its state, and the versions of the policies in scope. */
export interface WriteScope {
  readonly repositoryState: number;
  readonly repositoryEpoch: number;
  readonly namespaceEpoch: number;
}

export const writeScopeStatement = defineStatement<{ repositoryId: number }, WriteScope>(
  (p) => sql`
    SELECT r.state AS repositoryState, r.immutability_epoch AS repositoryEpoch,
      n.immutability_epoch AS namespaceEpoch
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE r.id = ${p.repositoryId}`,
);

/** A rule that locks tags by name: the pattern must match the whole name, or must not. */
export interface ImmutabilityPolicy {
  readonly tagPattern: string;
  readonly tagPatternMatches: boolean;
}

/** The policies of a repository and of its namespace. */
export const immutabilityPoliciesStatement = defineStatement<
  { repositoryId: number },
  { tagPattern: string; tagPatternMatches: number },
  ImmutabilityPolicy
>(
  (p) => sql`
    SELECT policy.tag_pattern AS tagPattern, policy.tag_pattern_matches AS tagPatternMatches
    FROM ${repositoryImmutabilityPolicy} policy WHERE policy.repository_id = ${p.repositoryId}
    UNION ALL
    SELECT policy.tag_pattern, policy.tag_pattern_matches
    FROM ${repository} r
      CROSS JOIN ${namespaceImmutabilityPolicy} policy ON policy.namespace_id = r.namespace_id
    WHERE r.id = ${p.repositoryId}`,
  ({ tagPattern, tagPatternMatches }) => ({
    tagPattern,
    tagPatternMatches: tagPatternMatches === 1,
  }),
);
