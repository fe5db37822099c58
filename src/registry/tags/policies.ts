import { RE2JS, RE2JSException } from 're2js';

import type { ImmutabilityPolicy } from '../../storage/d1/policies.ts';

/**
 * Whether any policy locks a tag of this name. A pattern must match the whole name; a policy whose
 * `tagPatternMatches` is false locks the names that do not match. Patterns are written by users and
 * run on the path of every push, so they are matched in linear time.
 */
export function locksTag(policies: readonly ImmutabilityPolicy[], tagName: string): boolean {
  return policies.some(
    ({ tagPattern, tagPatternMatches }) => matchesWhole(tagPattern, tagName) === tagPatternMatches,
  );
}

/** A pattern that the engine refuses matches nothing. */
function matchesWhole(pattern: string, text: string): boolean {
  try {
    return RE2JS.compile(pattern).matches(text);
  } catch (error) {
    if (error instanceof RE2JSException) {
      return false;
    }
    throw error;
  }
}
