import {
  formatRepositoryName,
  type RepositoryName,
  parseRepositoryName,
} from '../../model/names.ts';
import type { AccessJudge, Judgement } from '../../registry/accounts/access.ts';
import type { RegistrySettings } from '../../registry/settings.ts';
import type { AnonymousActor, Claimant } from './actor.ts';
import { type ChallengeScope, requestOrigin, unauthorized } from './challenge.ts';
import { performerOfAccount } from './login.ts';
import type { AuthVariables } from './middleware.ts';
import { actionsOf, ALL_ACTIONS, askerOf } from './rights.ts';
import { type Action, type RepositoryScope, invalidName, permits } from './scopes.ts';

/** As much of a Hono context as is read here, so that any app with these variables fits. */
export interface AuthContext {
  readonly req: { readonly url: string };
  readonly var: Readonly<AuthVariables> & {
    readonly scope: {
      readonly operations: AccessJudge;
      readonly settings: Pick<RegistrySettings, 'anonymousPull'>;
    };
  };
}

/** What a route needs the caller to be allowed. */
export interface AccessRequirement {
  /** The repository's name as it stands in the URL, not checked yet. */
  readonly name: string;
  /**
   * Reading is `pull`; writing and deleting are `push`. To `probe` is to learn whether something is
   * there, which both may: who pushes asks before they send.
   */
  readonly action: 'pull' | 'push' | 'probe';
  /**
   * The repository that a blob shall be mounted from, as the client names it. It is not required,
   * but a caller who is refused is told to ask for it too.
   */
  readonly mountFrom?: string | null;
}

/** What a caller was found to be allowed. */
export interface Granted {
  readonly name: RepositoryName;
  readonly mayPush: boolean;
}

/**
 * Lets only those through who sent good credentials; a token counts, whatever it grants.
 *
 * @throws OciError 401 `UNAUTHORIZED` with a challenge that names no scope
 */
export async function requireCredentials(c: AuthContext): Promise<void> {
  if (!(await hasCredentials(c))) {
    throw unauthorized(requestOrigin(c.req.url));
  }
}

async function hasCredentials(c: AuthContext): Promise<boolean> {
  const { actor } = c.var;
  if (actor.kind === 'claimant') {
    return (await judgeCaller(c, actor, [])).account !== null;
  }
  return actor.kind === 'administrator' || actor.kind === 'bearer';
}

/**
 * The repository, if the caller may do the action with it. Whether it exists plays no part: who
 * may not see a repository is answered alike for one that is there and one that is not.
 *
 * @throws OciError 400 `NAME_INVALID`; 401 `UNAUTHORIZED` with a challenge for the scopes needed
 */
export async function requireAccess(
  c: AuthContext,
  requirement: AccessRequirement,
): Promise<Granted> {
  const name = requireName(requirement);
  const [actions = []] = await actionsOfCaller(c, [name]);
  requireAction(c, actions, requirement);
  return { name, mayPush: permits(actions, 'push') };
}

/**
 * The same for a route that only reads. Where the caller's rights are not known yet they are asked
 * for together with the first that `read` asks for, in its round trip; what it read, or failed with,
 * is for nobody's eyes until they were found to be enough.
 */
export async function readWithAccess<Result>(
  c: AuthContext,
  requirement: AccessRequirement,
  read: (name: RepositoryName) => Promise<Result>,
): Promise<Result> {
  const { actor, scope } = c.var;
  if (actor.kind !== 'claimant' && actor.kind !== 'anonymous') {
    return read((await requireAccess(c, requirement)).name);
  }
  const name = requireName(requirement);
  if (isRefusedUnheard(c)) {
    return refuse(c, requirement);
  }
  const { judgement, reading } = await scope.operations.judgeAccessWhile(askerOf(actor), name, () =>
    read(name),
  );
  settleLogin(c, judgement);
  const [actions = []] = actionsIn(judgement);
  requireAction(c, actions, requirement);
  return reading;
}

/**
 * Those of these repositories that the caller may pull from. A token that lacks one is judged by the
 * rights of its subject, since clients often ask for a token before they know what they will mount,
 * and a mount never ends in a 401.
 */
export async function whichMayPull(
  c: AuthContext,
  names: readonly RepositoryName[],
): Promise<readonly RepositoryName[]> {
  const { actor, scope } = c.var;
  const held = await actionsOfCaller(c, names);
  const pullable = names.filter((_, index) => permits(held[index] ?? [], 'pull'));
  if (actor.kind !== 'bearer' || pullable.length === names.length) {
    return pullable;
  }
  const { subject } = actor;
  if (subject.kind === 'administrator') {
    return names;
  }
  const own = actionsIn(await scope.operations.judgeAccess(askerOf(subject), names));
  return names.filter(
    (name, index) => pullable.includes(name) || permits(own[index] ?? [], 'pull'),
  );
}

/**
 * Who makes a repository that is not there yet: the id of their account, null for the administrator.
 * A token that allows to push there is not enough, for what it was issued by may have changed.
 *
 * @throws OciError 401 `UNAUTHORIZED` if they may not, or may not any more
 */
export async function requireCreator(c: AuthContext, name: RepositoryName): Promise<number | null> {
  const { actor, scope } = c.var;
  const subject = actor.kind === 'bearer' ? actor.subject : actor;
  if (subject.kind === 'administrator') {
    return null;
  }
  if (subject.kind === 'account' || subject.kind === 'claimant') {
    const judged =
      subject.kind === 'claimant'
        ? await judgeCaller(c, subject, [name])
        : await scope.operations.judgeAccess(askerOf(subject), [name]);
    if (judged.account !== null && judged.repositories[0]?.access.mayCreate === true) {
      return judged.account.id;
    }
  }
  return refuse(c, { name: formatRepositoryName(name), action: 'push' });
}

/** What the caller may do with each of these repositories, in their order. */
async function actionsOfCaller(
  c: AuthContext,
  names: readonly RepositoryName[],
): Promise<readonly (readonly Action[])[]> {
  const { actor } = c.var;
  switch (actor.kind) {
    case 'refused':
      return names.map(() => []);
    case 'administrator':
      return names.map(() => ALL_ACTIONS);
    case 'bearer':
      return names.map((name) =>
        actor.access.filter((granted) => isFor(granted, name)).flatMap(({ actions }) => actions),
      );
    case 'anonymous':
    case 'claimant':
      return isRefusedUnheard(c)
        ? names.map(() => [])
        : actionsIn(await judgeCaller(c, actor, names));
  }
}

/** Judges who sent the request, and remembers whose their secret was found to be. */
export async function judgeCaller(
  c: AuthContext,
  caller: AnonymousActor | Claimant,
  names: readonly RepositoryName[],
): Promise<Judgement> {
  const judgement = await c.var.scope.operations.judgeAccess(askerOf(caller), names);
  settleLogin(c, judgement);
  return judgement;
}

/** Nobody who sent no secret logs in. */
function settleLogin({ var: { login } }: AuthContext, { account }: Judgement): void {
  login?.settle(account && performerOfAccount(account.name));
}

function actionsIn({ repositories }: Judgement): readonly (readonly Action[])[] {
  return repositories.map(({ access }) => actionsOf(access));
}

/** Whether the caller has nothing to hope for, which need not be asked. */
function isRefusedUnheard({ var: { actor, scope } }: AuthContext): boolean {
  return actor.kind === 'anonymous' && !scope.settings.anonymousPull;
}

function requireName({ name }: AccessRequirement): RepositoryName {
  const parsed = parseRepositoryName(name);
  if (parsed === null) {
    throw invalidName(name);
  }
  return parsed;
}

function requireAction(
  c: AuthContext,
  granted: readonly Action[],
  requirement: AccessRequirement,
): void {
  const { action } = requirement;
  const isAllowed =
    action === 'probe'
      ? permits(granted, 'pull') || permits(granted, 'push')
      : permits(granted, action);
  if (!isAllowed) {
    refuse(c, requirement);
  }
}

function refuse(c: AuthContext, { name, action, mountFrom = null }: AccessRequirement): never {
  throw unauthorized(requestOrigin(c.req.url), {
    scopes: [
      { name, actions: action === 'push' ? ['pull', 'push'] : ['pull'] },
      ...mountScopes(mountFrom),
    ],
  });
}

function isFor(scope: RepositoryScope, repository: RepositoryName): boolean {
  const { namespace, repository: path } = scope.repository;
  return namespace === repository.namespace && path === repository.repository;
}

/** A source with an illegal name cannot be mounted from: nothing to ask for. */
function mountScopes(mountFrom: string | null): readonly ChallengeScope[] {
  return mountFrom === null || parseRepositoryName(mountFrom) === null
    ? []
    : [{ name: mountFrom, actions: ['pull'] }];
}
