import { RegistryError } from '../../model/errors.ts';
import { formatRepositoryName, type RepositoryName } from '../../model/names.ts';
import { REPOSITORY_STATES, type RepositoryRef } from '../../model/references.ts';
import type { RequestScope } from '../scope.ts';
import { OciError } from './errors.ts';

/** 404 `NAME_UNKNOWN`. */
export function nameUnknown(name: RepositoryName): OciError {
  return new OciError(404, {
    code: 'NAME_UNKNOWN',
    message: `repository '${formatRepositoryName(name)}' not found`,
  });
}

/** The repository, or a refusal with 404 `NAME_UNKNOWN`. */
export async function requireRepository(
  name: RepositoryName,
  { registry }: RequestScope,
): Promise<RepositoryRef> {
  const repository = await registry.lookupRepository(name.namespace, name.repository);
  if (repository === null) {
    throw nameUnknown(name);
  }
  return repository;
}

/**
 * The repository that a push goes to. The first write makes it; that the caller may push where
 * nothing is yet was decided with the caller's access.
 */
export async function repositoryForPush(
  name: RepositoryName,
  scope: RequestScope,
): Promise<RepositoryRef> {
  const repository =
    (await scope.registry.lookupRepository(name.namespace, name.repository)) ??
    (await scope.operations.ensureRepository(name));
  if (repository === null) {
    throw nameUnknown(name);
  }
  requireWritable(repository);
  return repository;
}

/** Refuses with 403 `DENIED` a write to a repository whose state takes none. */
export function requireWritable({ namespaceName, name, state }: RepositoryRef): void {
  if (state !== REPOSITORY_STATES.normal) {
    throw new RegistryError('RepositoryReadOnly', { name: `${namespaceName}/${name}` });
  }
}
