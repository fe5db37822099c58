import type { Brand } from './brand.ts';
import type { JsonObject } from './datatypes.ts';
import { LIBRARY_NAMESPACE, type NamespaceName, parseNamespaceName } from './names.ts';
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

/** A person, and their own namespace, which has their name. */
export interface User {
  readonly id: number;
  readonly name: AccountName;
  readonly namespaceId: number;
  /** Whether they may log in. */
  readonly isEnabled: boolean;
  readonly createdMs: EpochMs;
}

/** A robot as those see it who may change it; never its secret. */
export interface Robot {
  readonly id: number;
  readonly name: AccountName;
  readonly shortName: string;
  readonly purpose: RobotPurpose;
  readonly description: string;
  readonly metadata: JsonObject;
  /** Whether it is enabled itself; its namespace may be disabled all the same. */
  readonly isEnabled: boolean;
  readonly createdMs: EpochMs;
  /** To the day; null: its secret was never used. */
  readonly lastUsedMs: EpochMs | null;
}

/** A secret that was just drawn. It is kept nowhere, so this is the one time that it can be shown. */
export interface IssuedCredential {
  readonly credential: CredentialInfo;
  readonly secret: string;
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

/** What the administrator logs in as, who is no account. */
export const ADMINISTRATOR_NAME = 'admin';
/** Who is called so would be the administrator, or would own every name of one component. */
const RESERVED_NAMES: readonly string[] = [ADMINISTRATOR_NAME, LIBRARY_NAMESPACE];

/** Quay's bound; a namespace of one letter can only be an organization. */
const USER_NAME_LENGTH_MIN = 2;
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
    (plus < 0
      ? namespace.length >= USER_NAME_LENGTH_MIN
      : isRobotShortName(text.slice(plus + ROBOT_SEPARATOR.length)));
  return isLegal ? (text as AccountName) : null;
}

/** Whether no person may be called so, though the name is legal. */
export function isReservedName(text: string): boolean {
  return RESERVED_NAMES.includes(text);
}

/** Whether a robot may be called so within its namespace. */
function isRobotShortName(text: string): boolean {
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
