import { env } from 'cloudflare:workers';

import type { MemberRole, RepositoryRole } from '../../src/model/access.ts';
import { type AccountName, parseAccountName, type RobotPurpose } from '../../src/model/accounts.ts';
import {
  type NamespaceName,
  parseNamespaceName,
  parseRepositoryName,
  type RepositoryName,
} from '../../src/model/names.ts';
import type { Claim } from '../../src/registry/accounts/access.ts';
import { drawSecret, hashSecret, secretPrefix } from '../../src/registry/accounts/secrets.ts';
import type { TestRegistry } from './registry.ts';

/** Someone who may log in, and what they do it with. */
export interface TestAccount {
  readonly id: number;
  readonly name: AccountName;
  readonly secret: string;
}

async function insert(sql: string, ...values: readonly unknown[]): Promise<number> {
  const row = await env.DB.prepare(`${sql} RETURNING rowid AS id`)
    .bind(...values)
    .first<{ id: number }>();
  return row?.id ?? 0;
}

/** The namespace of this name, made if there is none. */
export async function aNamespace(
  name: string,
  { kind = 'organization' }: { kind?: 'user' | 'organization' } = {},
): Promise<number> {
  return insert(
    `INSERT INTO namespace (name, kind) VALUES (?, ?)
      ON CONFLICT (name) DO UPDATE SET kind = kind`,
    name,
    kind,
  );
}

interface AccountOptions {
  readonly purpose?: RobotPurpose;
  readonly isEnabled?: boolean;
  readonly expiresMs?: number | null;
}

/** A person, or by a name with a plus a robot, with a secret. */
export async function anAccount(
  text: string,
  { purpose = 'pull_push', isEnabled = true, expiresMs = null }: AccountOptions = {},
): Promise<TestAccount> {
  const name = parseAccountName(text);
  const [namespace = ''] = text.split('+');
  if (name === null) {
    throw new Error(`nobody is called '${text}'`);
  }
  const isRobot = text.includes('+');
  const namespaceId = await aNamespace(namespace, { kind: isRobot ? 'organization' : 'user' });
  const id = await insert(
    `INSERT INTO account (name, kind, namespace_id, enabled, purpose, created_ms)
      VALUES (?, ?, ?, ?, ?, 0)`,
    name,
    isRobot ? 'robot' : 'user',
    namespaceId,
    Number(isEnabled),
    purpose,
  );
  return { id, name, secret: await aSecret(id, { isRobot, expiresMs }) };
}

export const namespaceOf = (text: string): NamespaceName => {
  const name = parseNamespaceName(text);
  if (name === null) {
    throw new Error(`no namespace is called '${text}'`);
  }
  return name;
};

export const accountOf = (text: string): AccountName => {
  const name = parseAccountName(text);
  if (name === null) {
    throw new Error(`nobody is called '${text}'`);
  }
  return name;
};

export const repositoryOf = (text: string): RepositoryName => {
  const name = parseRepositoryName(text);
  if (name === null) {
    throw new Error(`no repository is called '${text}'`);
  }
  return name;
};

/** Who logs in by a secret, and what they may do in a repository; nulls for nobody and nothing. */
export async function logIn(
  { operations }: Pick<TestRegistry, 'operations'>,
  secret: string,
  repository = 'none/none',
): Promise<{ readonly name: string | null; readonly role: string | null }> {
  const claim: Claim = { kind: 'secret', username: null, secret };
  const { account, repositories } = await operations.judgeAccess({ kind: 'claimant', claim }, [
    repositoryOf(repository),
  ]);
  return { name: account?.name ?? null, role: repositories[0]?.access.role ?? null };
}

/** Another secret of an account. */
export async function aSecret(
  accountId: number,
  { isRobot = false, expiresMs = null }: { isRobot?: boolean; expiresMs?: number | null } = {},
): Promise<string> {
  const secret = drawSecret();
  await insert(
    `INSERT INTO credential (uuid, account_id, kind, title, prefix, secret_hash, created_ms,
      expires_ms) VALUES (?, ?, ?, 'a secret', ?, ?, 0, ?)`,
    crypto.randomUUID(),
    accountId,
    isRobot ? 'robot_token' : 'app_token',
    secretPrefix(secret),
    await hashSecret(secret),
    expiresMs,
  );
  return secret;
}

export async function giveRight(
  { id }: Pick<TestAccount, 'id'>,
  repositoryId: number,
  role: RepositoryRole,
): Promise<void> {
  await env.DB.prepare(
    'INSERT INTO repository_right (repository_id, account_id, role) VALUES (?, ?, ?)',
  )
    .bind(repositoryId, id, role)
    .run();
}

export async function addMember(
  { id }: Pick<TestAccount, 'id'>,
  namespaceId: number,
  role: MemberRole,
): Promise<void> {
  await env.DB.prepare(
    'INSERT INTO namespace_member (namespace_id, account_id, role) VALUES (?, ?, ?)',
  )
    .bind(namespaceId, id, role)
    .run();
}
