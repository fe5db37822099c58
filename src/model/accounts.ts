import type { Brand } from './brand.ts';
import { type NamespaceName, parseNamespaceName } from './names.ts';
import type { EpochMs } from './time.ts';

/**
 * The name of someone who may log in: a person's, which is their namespace's, or a robot's, which
 * is `<namespace>+<short name>`. Made by {@link parseAccountName} only.
 */
export type AccountName = Brand<string, 'AccountName'>;

export type AccountKind = 'user' | 'robot';

/** What a robot is for. It may do no more than that, whatever rights it has. */
export const ROBOT_PURPOSES = ['pull', 'push', 'pull_push'] as const;
export type RobotPurpose = (typeof ROBOT_PURPOSES)[number];

/** Someone who may log in. */
export interface Account {
  readonly id: number;
  readonly kind: AccountKind;
  readonly name: AccountName;
  /** A person's own namespace, or the one that a robot belongs to. */
  readonly namespaceId: number;
  readonly namespaceName: NamespaceName;
  /** Whether it may log in: neither it nor its namespace is disabled. */
  readonly isEnabled: boolean;
  readonly purpose: RobotPurpose;
}

/** What a secret is called and when it is good; never the secret. */
export interface CredentialInfo {
  readonly uuid: string;
  readonly title: string;
  readonly createdMs: EpochMs;
  /** Null: it is good until it is taken back. */
  readonly expiresMs: EpochMs | null;
  /** To the day; null: never used. */
  readonly lastUsedMs: EpochMs | null;
}

const ROBOT_SEPARATOR = '+';
/** Quay's rule for what stands behind the plus. */
const ROBOT_SHORT_NAME = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
const ROBOT_SHORT_NAME_LENGTH_MIN = 2;
const ROBOT_SHORT_NAME_LENGTH_MAX = 255;

/** The text as an {@link AccountName}, or null if nobody can be called so. */
export function parseAccountName(text: string): AccountName | null {
  const plus = text.indexOf(ROBOT_SEPARATOR);
  const namespace = plus < 0 ? text : text.slice(0, plus);
  const isLegal =
    parseNamespaceName(namespace) !== null &&
    (plus < 0 || isRobotShortName(text.slice(plus + ROBOT_SEPARATOR.length)));
  return isLegal ? (text as AccountName) : null;
}

/** Whether a robot may be called so within its namespace. */
export function isRobotShortName(text: string): boolean {
  return (
    text.length >= ROBOT_SHORT_NAME_LENGTH_MIN &&
    text.length <= ROBOT_SHORT_NAME_LENGTH_MAX &&
    ROBOT_SHORT_NAME.test(text)
  );
}

/** The name of a namespace's robot; null if it cannot be called so. */
export function robotName(namespace: NamespaceName, shortName: string): AccountName | null {
  return isRobotShortName(shortName)
    ? (`${namespace}${ROBOT_SEPARATOR}${shortName}` as AccountName)
    : null;
}

/** Whether this is a robot's name, and no person's. */
export function isRobotName(name: AccountName): boolean {
  return name.includes(ROBOT_SEPARATOR);
}

/** What a robot is called within its namespace. */
export function robotShortName(name: AccountName): string {
  return name.slice(name.indexOf(ROBOT_SEPARATOR) + ROBOT_SEPARATOR.length);
}
