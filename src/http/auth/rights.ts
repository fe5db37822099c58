import type { RepositoryName } from '../../model/names.ts';
import type { Subject } from './actor.ts';
import type { Action } from './scopes.ts';

/**
 * What a subject may do with a repository, whether or not it exists yet: the actions, each of
 * which implies the weaker ones. Nothing else in the transports decides about rights.
 */
export type RepositoryRights = (
  subject: Subject,
  repository: RepositoryName,
) => Promise<readonly Action[]>;

/** The rights in a registry of one administrator, who may do everything; nobody else anything. */
export const administratorRights: RepositoryRights = async (subject) =>
  subject.kind === 'administrator' ? ['*'] : [];
