import { RegistryError } from '../../../../src/model/errors.ts';

export function refuseLocked(
  tagName: string,
  operation: 'overwrite' | 'delete' | 'set expiration on',
): RegistryError {
  return new RegistryError('TagImmutable', { tagName, operation, repositoryId: 0 });
}
