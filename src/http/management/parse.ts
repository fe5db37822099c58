import { type AccountName, parseAccountName } from '../../model/accounts.ts';
import { type Digest, parseDigest } from '../../model/digest.ts';
import { isRegistryError } from '../../model/errors.ts';
import {
  type NamespaceName,
  parseNamespaceName,
  parseRepositoryName,
  parseTagName,
  type RepositoryName,
  type TagName,
} from '../../model/names.ts';
import { ManagementError } from './errors.ts';

/** Texts of a request as what they name; the refusal of one that names nothing has the field. */

export function requireDigest(text: string, field = 'digest'): Digest {
  const digest = parseDigest(text);
  if (digest === null) {
    throw new ManagementError('invalid_request', `${field}: '${text}' is no digest`);
  }
  return digest;
}

export function requireTagName(text: string, field = 'tag'): TagName {
  const tagName = parseTagName(text);
  if (tagName === null) {
    throw new ManagementError('invalid_request', `${field}: '${text}' is no name of a tag`);
  }
  return tagName;
}

export function requireNamespaceName(text: string, field = 'namespace'): NamespaceName {
  const namespace = parseNamespaceName(text);
  if (namespace === null) {
    throw new ManagementError('invalid_request', `${field}: '${text}' is no name of a namespace`);
  }
  return namespace;
}

export function requireRepositoryName(text: string, field = 'repository'): RepositoryName {
  const name = text.includes('/') ? parseRepositoryName(text) : null;
  if (name === null) {
    throw new ManagementError('invalid_request', `${field}: '${text}' is not <namespace>/<name>`);
  }
  return name;
}

export function requireAccountName(text: string): AccountName {
  const name = parseAccountName(text);
  if (name === null) {
    throw new ManagementError('invalid_request', `account: nobody is called '${text}'`);
  }
  return name;
}

/**
 * What a change came to that is about an account of the path. Whoever is sent there but does not exist
 * is a mistake of the request's: `invalid_request`, as what else is not found is the place.
 */
export async function requireKnownAccount<Result>(
  name: AccountName,
  change: Promise<Result>,
): Promise<Result> {
  try {
    return await change;
  } catch (error) {
    if (isRegistryError(error) && error.code === 'AccountNotFound') {
      throw new ManagementError('invalid_request', `account: there is no account '${name}'`);
    }
    throw error;
  }
}
