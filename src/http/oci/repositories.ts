import type { Context } from 'hono';

import { RegistryError } from '../../model/errors.ts';
import { formatRepositoryName, type RepositoryName } from '../../model/names.ts';
import { REPOSITORY_STATES, type RepositoryRef } from '../../model/references.ts';
import { recordAudit } from '../audit-log.ts';
import { requireCreator } from '../auth/access.ts';
import { requireEnabledNamespace, requireEnabledNamespaceOf } from '../auth/namespaces.ts';
import type { AppEnv } from '../scope.ts';
import { OciError } from './errors.ts';

/** 404 `NAME_UNKNOWN`. */
export function nameUnknown(name: RepositoryName): OciError {
  return new OciError(404, {
    code: 'NAME_UNKNOWN',
    message: `repository '${formatRepositoryName(name)}' not found`,
  });
}

/** The repository, or a refusal with 404 `NAME_UNKNOWN`, or 405 `DENIED` if it is closed. */
export async function requireRepository(
  c: Context<AppEnv>,
  name: RepositoryName,
): Promise<RepositoryRef> {
  const { registry } = c.var.scope;
  const repository = await registry.lookupRepository(name.namespace, name.repository);
  if (repository === null) {
    throw nameUnknown(name);
  }
  requireEnabledNamespaceOf(c, repository);
  return repository;
}

/**
 * The repository that a push goes to. The first write makes it; that the caller may push where
 * nothing is yet was decided with the caller's access.
 */
export async function repositoryForPush(
  c: Context<AppEnv>,
  name: RepositoryName,
): Promise<RepositoryRef> {
  const { registry } = c.var.scope;
  const repository =
    (await registry.lookupRepository(name.namespace, name.repository)) ??
    (await makeRepository(c, name));
  requireEnabledNamespaceOf(c, repository);
  requireWritable(repository);
  return repository;
}

async function makeRepository(c: Context<AppEnv>, name: RepositoryName): Promise<RepositoryRef> {
  const { registry, operations } = c.var.scope;
  await requireEnabledNamespace(c, name.namespace, { namespaces: registry, forPush: true });
  const creatorId = await requireCreator(c, name);
  const made = await operations.ensureRepository(name, { creatorId });
  if (made === null) {
    throw nameUnknown(name);
  }
  // There was none when it was looked for.
  if (made.isNew !== false) {
    recordAudit(c, { kind: 'create_repo', repository: made });
  }
  return made;
}

/** Refuses with 403 `DENIED` a write to a repository whose state takes none. */
export function requireWritable({ namespaceName, name, state }: RepositoryRef): void {
  if (state !== REPOSITORY_STATES.normal) {
    throw new RegistryError('RepositoryReadOnly', { name: `${namespaceName}/${name}` });
  }
}
