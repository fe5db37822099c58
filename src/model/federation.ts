import { SUBJECT_LENGTH_MAX, SUBJECT_PATTERN_LENGTH_MAX } from './limits.ts';

/** Whose tokens stand for a robot: those of one OpenID issuer, for the subjects of a pattern. */
export interface TrustRule {
  /** The `iss` of the tokens, exactly. */
  readonly issuer: string;
  /** What their `sub` must match: itself, with `*` for any run of characters. */
  readonly subject: string;
}

const WILDCARD = '*';
/** What the parts of subjects are divided by: `repo:acme/app:ref:refs/heads/main`. */
const SAYS_WHOSE = /[:/][^:/]/;
// oxlint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/**
 * What is wrong with a pattern of subjects, or null. An issuer serves strangers too, so a pattern
 * says whose subjects it is about before its first wildcard: `repo:acme/*`, not `repo:*`.
 */
export function subjectPatternProblem(pattern: string): string | null {
  if (pattern.length < 1 || pattern.length > SUBJECT_PATTERN_LENGTH_MAX) {
    return `a subject has 1 to ${SUBJECT_PATTERN_LENGTH_MAX} characters, not ${pattern.length}`;
  }
  if (CONTROL_CHARACTER.test(pattern) || !pattern.isWellFormed()) {
    return 'a subject is text';
  }
  const [beginning = '', ...rest] = pattern.split(WILDCARD);
  return rest.length > 0 && !SAYS_WHOSE.test(beginning)
    ? `'${pattern}' would trust strangers: before its first * a subject says whose it is, as in ` +
        "'repo:acme/*'"
    : null;
}

/**
 * Whether a pattern matches a whole subject. Each piece between wildcards is looked for once, from
 * where the one before ended: its first place is as good as any later one. So nothing is ever gone
 * back to, and the time is linear in the subject, with the pattern's length as its factor at most.
 */
export function matchesSubject(pattern: string, subject: string): boolean {
  if (subject.length > SUBJECT_LENGTH_MAX) {
    return false;
  }
  const [beginning = '', ...pieces] = pattern.split(WILDCARD);
  const end = pieces.pop();
  if (end === undefined) {
    return subject === beginning;
  }
  if (!subject.startsWith(beginning)) {
    return false;
  }
  let at = beginning.length;
  for (const piece of pieces) {
    const found = subject.indexOf(piece, at);
    if (found < 0) {
      return false;
    }
    at = found + piece.length;
  }
  return subject.length - end.length >= at && subject.endsWith(end);
}
