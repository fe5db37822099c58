import type { MiddlewareHandler } from 'hono';

import { type RepositoryName, parseRepositoryName } from '../../model/names.ts';
import { ANONYMOUS, type Actor, REFUSED } from './actor.ts';
import { type ChallengeScope, requestOrigin, unauthorized } from './challenge.ts';
import { identify, parseAuthorization, requireAdminPassword } from './credentials.ts';
import type { AuthDeps } from './dependencies.ts';
import type { RepositoryRights } from './rights.ts';
import { type RepositoryScope, invalidName, permits } from './scopes.ts';
import { requireSigningKey } from './signing-key.ts';
import { verifyToken } from './token.ts';

/** What {@link authentication} puts on the context. */
export interface AuthVariables {
  actor: Actor;
  rights: RepositoryRights;
}
export interface AuthEnv {
  Variables: AuthVariables;
}

/** As much of a Hono context as is read here, so that any app with these variables fits. */
export interface AuthContext {
  readonly req: { readonly url: string };
  readonly var: Readonly<AuthVariables>;
}

/** What a route needs the caller to be allowed. */
export interface AccessRequirement {
  /** The repository's name as it stands in the URL, not checked yet. */
  readonly name: string;
  /** Reading is `pull`; writing and deleting are `push`. */
  readonly action: 'pull' | 'push';
  /**
   * The repository that a blob shall be mounted from, as the client names it. It is not required,
   * but a caller who is refused is told to ask for it too.
   */
  readonly mountFrom?: string | null;
}

/**
 * Middleware that finds out whom a request comes from and puts the {@link Actor} on the context.
 * It takes a token of ours as Bearer, and a user name and password as Basic, which saves scripts
 * the round trip for a token. It refuses nobody: routes call {@link requireAccess} or
 * {@link requireCredentials}, which do, and which know the scope that a new token must have.
 *
 * Throws `ConfigurationError`, whatever the request, as long as a secret is missing or unusable.
 *
 * @example
 * app.use('/v2/*', authentication(deps));
 * app.get('/v2/:name{.+}/tags/list', async (c) => {
 *   const repository = await requireAccess(c, { name: c.req.param('name'), action: 'pull' });
 *   …
 * });
 */
export function authentication(deps: AuthDeps): MiddlewareHandler<AuthEnv> {
  return async function authenticate(c, next) {
    requireAdminPassword(deps);
    await requireSigningKey(deps);
    const { host } = requestOrigin(c.req.url);
    c.set('actor', await resolveActor(c.req.header('Authorization'), { deps, service: host }));
    c.set('rights', deps.rights);
    await next();
  };
}

/**
 * Lets only those through who sent good credentials; a token counts, whatever it grants.
 *
 * @throws OciError 401 `UNAUTHORIZED` with a challenge that names no scope
 */
export function requireCredentials(c: AuthContext): void {
  const { kind } = c.var.actor;
  if (kind === 'anonymous' || kind === 'refused') {
    throw unauthorized(requestOrigin(c.req.url));
  }
}

/**
 * The repository, if the caller may do the action with it. Whether it exists plays no part: who
 * may not see a repository is answered alike for one that is there and one that is not.
 *
 * @throws OciError 400 `NAME_INVALID`; 401 `UNAUTHORIZED` with a challenge for the scopes needed
 */
export async function requireAccess(
  c: AuthContext,
  { name, action, mountFrom = null }: AccessRequirement,
): Promise<RepositoryName> {
  const repository = parseRepositoryName(name);
  if (repository === null) {
    throw invalidName(name);
  }
  if (!(await mayAct(c, { repository, action }))) {
    throw unauthorized(requestOrigin(c.req.url), {
      scopes: [
        { name, actions: action === 'pull' ? ['pull'] : ['pull', 'push'] },
        ...mountScopes(mountFrom),
      ],
    });
  }
  return repository;
}

/**
 * Whether a blob of the repository may be mounted elsewhere for the caller. A token that lacks
 * the repository is judged by the rights of its subject, since clients often ask for a token
 * before they know what they will mount, and a mount never ends in a 401.
 */
export async function mayPull(c: AuthContext, repository: RepositoryName): Promise<boolean> {
  if (await mayAct(c, { repository, action: 'pull' })) {
    return true;
  }
  const actor = c.var.actor;
  return actor.kind === 'bearer' && permits(await c.var.rights(actor.subject, repository), 'pull');
}

/** Whether the caller may push to the repository; for answers that mean more to a pusher. */
export async function mayPush(c: AuthContext, repository: RepositoryName): Promise<boolean> {
  return mayAct(c, { repository, action: 'push' });
}

async function resolveActor(
  header: string | undefined,
  { deps, service }: { readonly deps: AuthDeps; readonly service: string },
): Promise<Actor> {
  if (header === undefined) {
    return ANONYMOUS;
  }
  const credentials = parseAuthorization(header);
  if (credentials === null) {
    return REFUSED;
  }
  const actor =
    credentials.kind === 'basic'
      ? await identify(credentials, deps)
      : await verifyToken(credentials.token, { ...deps, service });
  return actor ?? REFUSED;
}

async function mayAct(
  c: AuthContext,
  {
    repository,
    action,
  }: { readonly repository: RepositoryName; readonly action: AccessRequirement['action'] },
): Promise<boolean> {
  const actor = c.var.actor;
  if (actor.kind === 'refused') {
    return false;
  }
  if (actor.kind === 'bearer') {
    return actor.access.some((scope) => isFor(scope, repository) && permits(scope.actions, action));
  }
  return permits(await c.var.rights(actor, repository), action);
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
