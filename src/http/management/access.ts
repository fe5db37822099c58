import type { Context } from 'hono';

import {
  type Access,
  NO_ACCESS,
  type RepositoryRole,
  type NamespaceInfo,
} from '../../model/access.ts';
import type { Account } from '../../model/accounts.ts';
import type { Manifest } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import {
  formatRepositoryName,
  type NamespaceName,
  type RepositoryName,
  type RepositoryPath,
} from '../../model/names.ts';
import { REPOSITORY_STATES, type RepositoryRef } from '../../model/references.ts';
import type { Searcher } from '../../registry/repository-search.ts';
import { judgeCaller } from '../auth/access.ts';
import { actionsOf } from '../auth/rights.ts';
import type { Action } from '../auth/scopes.ts';
import type { AppEnv, RequestScope } from '../scope.ts';
import { ManagementError } from './errors.ts';
import { requireNamespaceName, requireRepositoryName } from './parse.ts';

/**
 * The repository, if the caller has this role in it. One that is not there is no secret for the
 * administrator; anybody else is answered alike for it and for one that they may not see.
 *
 * Refuses with `invalid_request`, `invalid_token`, `insufficient_scope` or `not_found`.
 */
export async function requireRepositoryRole(
  c: Context<AppEnv>,
  text: string,
  role: RepositoryRole,
): Promise<RepositoryRef> {
  return (await openRepository(c, text, role)).repository;
}

/** The same, and whether the caller has other roles there too. */
export async function openRepository(
  c: Context<AppEnv>,
  text: string,
  role: RepositoryRole,
): Promise<{
  readonly repository: RepositoryRef;
  readonly has: (role: RepositoryRole) => boolean;
}> {
  const name = requireRepositoryName(text);
  const { registry } = c.var.scope;
  const [access, repository] = await Promise.all([
    accessTo(c, name),
    registry.lookupRepository(name.namespace, name.repository),
  ]);
  if (access !== 'everything' && (repository === null || !may(access, role))) {
    throw refused(c);
  }
  if (repository === null) {
    throw new ManagementError('not_found', `repository '${text}' not found`);
  }
  return { repository, has: (other) => may(access, other) };
}

/** The names, in their order, that the caller may read; the administrator all. */
export async function whichMayRead<Repository extends RepositoryRef>(
  c: Context<AppEnv>,
  repositories: readonly Repository[],
): Promise<readonly Repository[]> {
  const names = repositories.map((found) => ({
    namespace: found.namespaceName,
    repository: found.name,
  }));
  const { accesses } = await judgeEach(c, names);
  return repositories.filter((_, index) => may(accesses[index] ?? NO_ACCESS, 'read'));
}

/** Lets nobody through who gives no credentials. */
export function requireCredentials(c: Context<AppEnv>): void {
  if (c.var.actor.kind === 'anonymous') {
    throw notKnown();
  }
}

/**
 * Which of these, in their order, are about a repository that the caller may write to; the
 * administrator to all. Refuses with `invalid_token` who is not known.
 */
export async function whichMayWrite<About extends { readonly repository: RepositoryName }>(
  c: Context<AppEnv>,
  things: readonly About[],
): Promise<readonly About[]> {
  const names = new Map(things.map((about) => [formatRepositoryName(about.repository), about]));
  const { accesses } = await judgeEach(
    c,
    [...names.values()].map(({ repository }) => repository),
  );
  const writable = new Set(
    [...names.keys()].filter((_, index) => may(accesses[index] ?? NO_ACCESS, 'write')),
  );
  return things.filter(({ repository }) => writable.has(formatRepositoryName(repository)));
}

/**
 * As whom the caller searches. A bearer token of the distribution API counts for nothing here. Refuses
 * with `invalid_token`.
 */
export async function searcherOf(c: Context<AppEnv>): Promise<Searcher> {
  const { account } = await judgeEach(c, []);
  if (account !== null) {
    return { kind: 'account', account };
  }
  return { kind: c.var.actor.kind === 'administrator' ? 'administrator' : 'anonymous' };
}

/**
 * Who may make a repository of this name: the id of their account, null for the administrator.
 * Refuses with `invalid_token` or `insufficient_scope`.
 */
export async function requireCreator(
  c: Context<AppEnv>,
  name: RepositoryName,
): Promise<number | null> {
  const { account, accesses } = await judgeEach(c, [name]);
  const [access = NO_ACCESS] = accesses;
  if (access === 'everything') {
    return null;
  }
  if (account === null || !access.mayCreate || access.purpose === 'pull') {
    throw refused(c);
  }
  return account.id;
}

/**
 * As {@link requireRepositoryRole}, for a change of tags or labels, which a repository takes in its
 * normal state alone. Refuses with `read_only` too.
 */
export async function requireWritableRepository(
  c: Context<AppEnv>,
  text: string,
  role: RepositoryRole = 'write',
): Promise<RepositoryRef> {
  const repository = await requireRepositoryRole(c, text, role);
  requireNormalState(repository);
  return repository;
}

/**
 * The same of several repositories, in their order: all of them, or a refusal. Two round trips at
 * once, however many they are.
 */
export async function requireWritableRepositories(
  c: Context<AppEnv>,
  names: readonly RepositoryName[],
): Promise<readonly RepositoryRef[]> {
  const [{ accesses }, found] = await Promise.all([
    judgeEach(c, names),
    c.var.scope.operations.lookupRepositories(names),
  ]);
  const isRefused = accesses.some(
    (access, index) => access !== 'everything' && (found[index] === null || !may(access, 'write')),
  );
  if (isRefused) {
    throw refused(c);
  }
  return names.map((name, index) => {
    const repository = found[index] ?? null;
    if (repository === null) {
      throw new ManagementError(
        'not_found',
        `repository '${formatRepositoryName(name)}' not found`,
      );
    }
    requireNormalState(repository);
    return repository;
  });
}

/**
 * Whether the caller has this role in each of these repositories, which may be gone: then what counts
 * is who may make them. Refuses with `invalid_token` who is nobody in particular.
 */
export async function hasRoleInEach(
  c: Context<AppEnv>,
  names: readonly RepositoryName[],
  role: RepositoryRole,
): Promise<boolean> {
  if (c.var.actor.kind === 'anonymous') {
    throw notKnown();
  }
  const { accesses } = await judgeEach(c, names);
  return accesses.every((access) => may(access, role));
}

/** Refuses with `read_only` a change of tags or labels that the repository's state does not take. */
export function requireNormalState({ namespaceName, name, state }: RepositoryRef): void {
  if (state !== REPOSITORY_STATES.normal) {
    const text = `${namespaceName}/${name}`;
    throw new ManagementError('read_only', `repository '${text}' takes no writes in its state`);
  }
}

type ManifestReach = Parameters<RequestScope['registry']['lookupManifestByDigest']>[2];

/** The manifest of a digest, as far as `reach` goes. Refuses with `not_found`. */
export async function requireManifest(
  c: Context<AppEnv>,
  { repository, digest }: { readonly repository: RepositoryRef; readonly digest: Digest },
  reach: ManifestReach = { allowHidden: true },
): Promise<Manifest> {
  const { registry } = c.var.scope;
  const manifest = await registry.lookupManifestByDigest(repository, digest, reach);
  if (manifest === null) {
    throw new ManagementError('not_found', `manifest ${digest} not found`);
  }
  return manifest;
}

/** The namespace's name, if the caller may change it. */
export async function requireNamespaceAdmin(
  c: Context<AppEnv>,
  text: string,
): Promise<NamespaceName> {
  return requireInNamespace(c, text, 'isNamespaceAdmin');
}

/** The namespace's name, if the caller belongs to it. */
export async function requireNamespaceMember(
  c: Context<AppEnv>,
  text: string,
): Promise<NamespaceName> {
  return requireInNamespace(c, text, 'isNamespaceMember');
}

async function requireInNamespace(
  c: Context<AppEnv>,
  text: string,
  needed: 'isNamespaceAdmin' | 'isNamespaceMember',
): Promise<NamespaceName> {
  const namespace = requireNamespaceName(text, 'organization');
  const access = await accessTo(c, { namespace, repository: NO_REPOSITORY });
  if (access !== 'everything' && !(access[needed] && access.purpose === 'pull_push')) {
    throw refused(c);
  }
  return namespace;
}

/** The namespace, if the caller may change it. Refuses with `not_found` too. */
export async function requireNamespace(c: Context<AppEnv>, text: string): Promise<NamespaceInfo> {
  const name = await requireNamespaceAdmin(c, text);
  const found = await c.var.scope.operations.getNamespace(name);
  if (found === null) {
    throw new ManagementError('not_found', `namespace '${text}' not found`);
  }
  return found;
}

/** Whose own namespace the caller's is. Refuses with `insufficient_scope` who is no person. */
export async function requirePerson(c: Context<AppEnv>): Promise<Account> {
  const { actor } = c.var;
  if (actor.kind === 'administrator') {
    throw new ManagementError(
      'insufficient_scope',
      'only a person has this, not the administrator',
    );
  }
  const account = actor.kind === 'claimant' ? (await judgeCaller(c, actor, [])).account : null;
  if (account === null) {
    throw notKnown();
  }
  if (account.kind !== 'user') {
    throw refused(c);
  }
  return account;
}

/** Lets only the administrator through. */
export function requireAdministrator(c: Context<AppEnv>): void {
  if (c.var.actor.kind !== 'administrator') {
    throw refused(c);
  }
}

/** The name of a namespace that the caller is about to make, as only the administrator may. */
export function requireNewNamespace(
  c: Context<AppEnv>,
  text: string,
  field: string,
): NamespaceName {
  requireAdministrator(c);
  return requireNamespaceName(text, field);
}

/** No repository is called so: what is asked about is the namespace. */
const NO_REPOSITORY = '' as RepositoryPath;

/** What a role is called where robots are kept to what they are for. */
const ACTIONS: Readonly<Record<RepositoryRole, Action>> = {
  read: 'pull',
  write: 'push',
  admin: '*',
};

function may(access: Access | 'everything', role: RepositoryRole): boolean {
  return access === 'everything' || actionsOf(access).includes(ACTIONS[role]);
}

/** What the caller may do with one repository. */
async function accessTo(c: Context<AppEnv>, name: RepositoryName): Promise<Access | 'everything'> {
  const [access = NO_ACCESS] = (await judgeEach(c, [name])).accesses;
  return access;
}

/**
 * Who the caller is and what they may do; a bearer token of the distribution API counts for nothing
 * here.
 */
async function judgeEach(
  c: Context<AppEnv>,
  names: readonly RepositoryName[],
): Promise<{
  /** Null: the administrator, or nobody in particular. */
  readonly account: Account | null;
  readonly accesses: readonly (Access | 'everything')[];
}> {
  const { actor } = c.var;
  switch (actor.kind) {
    case 'administrator':
      return { account: null, accesses: names.map(() => 'everything') };
    case 'bearer':
    case 'refused':
      throw notKnown();
    case 'anonymous':
    case 'claimant': {
      const { account, repositories } = await judgeCaller(c, actor, names);
      if (actor.kind === 'claimant' && account === null) {
        throw notKnown();
      }
      return {
        account,
        accesses: repositories.map(({ access, isNamespaceDisabled }) =>
          isNamespaceDisabled ? NO_ACCESS : access,
        ),
      };
    }
  }
}

/** 401 for who is not known, 403 for who is. */
function refused(c: Context<AppEnv>): ManagementError {
  return c.var.actor.kind === 'claimant'
    ? new ManagementError('insufficient_scope', 'the caller may not do this')
    : notKnown();
}

function notKnown(): ManagementError {
  return new ManagementError('invalid_token', 'authentication required', {
    'WWW-Authenticate': 'Basic realm="berth"',
  });
}
