import { type RepositoryName, parseRepositoryName } from '../../model/names.ts';
import { OciError } from '../oci/errors.ts';

/** What a token may allow. `*` is everything; whoever may push may not therefore pull. */
export const ACTIONS = ['pull', 'push', '*'] as const;
export type Action = (typeof ACTIONS)[number];

/** Actions on one repository: those a client asks for, or those a token grants. */
export interface RepositoryScope {
  /** As the client wrote it, which is how it expects to read it again in its token. */
  readonly name: string;
  /** The repository that this name means. */
  readonly repository: RepositoryName;
  readonly actions: readonly Action[];
}

/** Keeps a token well below what proxies take as a request header. */
const SCOPES_MAX = 32;

/** Clients ask for these too; there is no such right, deleting needs `push`. */
const IGNORED_ACTION = 'delete';
const IGNORED_SCOPE = 'registry:catalog:*';

const REPOSITORY_SCOPE = /^repository:(?<name>.+):(?<actions>[^:]+)$/;

/** Whether these actions include the wanted one. */
export function permits(granted: readonly Action[], wanted: Action): boolean {
  return granted.includes(wanted) || granted.includes('*');
}

/**
 * The repositories and actions asked for by the `scope` parameters of a token request (Docker
 * Registry v2 authentication, "Token Scope"), in their order: the parameter may be repeated, and
 * each may hold several scopes separated by spaces.
 *
 * @param host the registry's own host with its port, which may stand before a repository's name
 * @throws OciError 400 `NAME_INVALID` for an illegal repository name, 400 `UNSUPPORTED` for
 *   anything else that is no scope, and for more than 32 of them
 */
export function parseScopes(
  parameters: readonly string[],
  host: string,
): readonly RepositoryScope[] {
  const scopes = parameters.flatMap((parameter) => parameter.split(' ')).filter(Boolean);
  if (scopes.length > SCOPES_MAX) {
    throw invalidScope(`a token carries at most ${SCOPES_MAX} scopes`);
  }
  return scopes
    .filter((scope) => scope !== IGNORED_SCOPE)
    .map((scope) => parseRepositoryScope(scope, host));
}

/**
 * The repository that a scope's name means, or `null` if it is illegal. The registry's own host
 * in front is not part of the name; any other first component is, also if it looks like a host.
 */
export function parseScopedName(name: string, host: string): RepositoryName | null {
  const prefix = `${host}/`;
  return parseRepositoryName(name.startsWith(prefix) ? name.slice(prefix.length) : name);
}

/** The scope as token requests and challenges spell it: `repository:<name>:pull,push`. */
export function formatScope({ name, actions }: Pick<RepositoryScope, 'name' | 'actions'>): string {
  return `repository:${name}:${actions.join(',')}`;
}

/** The refusal of a repository name that breaks the distribution-spec's grammar: 400. */
export function invalidName(name: string): OciError {
  return new OciError(400, {
    code: 'NAME_INVALID',
    message: 'invalid repository name',
    detail: { name },
  });
}

function parseRepositoryScope(scope: string, host: string): RepositoryScope {
  const { name, actions } = REPOSITORY_SCOPE.exec(scope)?.groups ?? {};
  if (name === undefined || actions === undefined) {
    throw invalidScope(`'${scope}' is not of the form 'repository:<name>:<actions>'`);
  }
  const repository = parseScopedName(name, host);
  if (repository === null) {
    throw invalidName(name);
  }
  return { name, repository, actions: parseActions(actions) };
}

function parseActions(text: string): readonly Action[] {
  const wanted = new Set(text.split(',').filter((action) => action !== IGNORED_ACTION));
  const actions = ACTIONS.filter((action) => wanted.delete(action));
  for (const unknown of wanted) {
    throw invalidScope(`'${unknown}' is none of the actions ${ACTIONS.join(', ')}`);
  }
  return actions;
}

function invalidScope(message: string): OciError {
  // The distribution-spec's list has no code for a bad scope; this one is the nearest.
  return new OciError(400, { code: 'UNSUPPORTED', message, detail: { reason: 'SCOPE_INVALID' } });
}
