import { RE2JS, RE2JSException } from 're2js';

import { RegistryError } from '../../model/errors.ts';
import { POLICY_PATTERN_LENGTH_MAX, POLICY_PROGRAM_SIZE_MAX } from '../../model/limits.ts';
import type { ImmutabilityPolicy } from '../../storage/d1/policies.ts';

/**
 * Whether any policy locks a tag of this name. A pattern must match the whole name; a policy whose
 * `tagPatternMatches` is false locks the names that do not match. Patterns are written by users and
 * run on the path of every push, so they are matched in linear time.
 */
export function locksTag(policies: readonly ImmutabilityPolicy[], tagName: string): boolean {
  return policies.some((policy) => selectedNames(policy)(tagName));
}

/** The same for one policy and many names: its pattern is compiled once. */
export function selectedNames({
  tagPattern,
  tagPatternMatches,
}: ImmutabilityPolicy): (tagName: string) => boolean {
  const pattern = attempt(() => RE2JS.compile(tagPattern));
  // A pattern that the engine refuses matches nothing.
  return (tagName) => {
    const isMatch = pattern instanceof RE2JS && attempt(() => pattern.matches(tagName)) === true;
    return isMatch === tagPatternMatches;
  };
}

/** Errors: InvalidPolicy, if this is no pattern that a new policy may have. */
export function requireValidPattern(tagPattern: string): void {
  const length = Array.from(tagPattern).length;
  if (length < 1 || length > POLICY_PATTERN_LENGTH_MAX) {
    throw invalid(`a pattern has 1 to ${POLICY_PATTERN_LENGTH_MAX} characters, not ${length}`);
  }
  if (tagPattern.includes('\0') || !tagPattern.isWellFormed()) {
    throw invalid('a pattern is text');
  }
  const pattern = attempt(() => RE2JS.compile(tagPattern));
  if (pattern instanceof RE2JSException) {
    throw invalid(pattern.message);
  }
  if (pattern.programSize() > POLICY_PROGRAM_SIZE_MAX) {
    throw invalid('the pattern repeats too much to be matched on every push');
  }
}

/** What the engine gives, or its refusal. */
function attempt<Result>(run: () => Result): Result | RE2JSException {
  try {
    return run();
  } catch (error) {
    if (error instanceof RE2JSException) {
      return error;
    }
    throw error;
  }
}

function invalid(reason: string): RegistryError {
  return new RegistryError('InvalidPolicy', { field: 'tagPattern', reason });
}
