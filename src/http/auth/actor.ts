import { ADMINISTRATOR_NAME, type AccountName, parseAccountName } from '../../model/accounts.ts';
import type { Claim } from '../../registry/accounts/access.ts';
import type { RepositoryScope } from './scopes.ts';

/** Someone who may have rights of their own: whom credentials identify, or whom a token is for. */
export type Subject = AnonymousActor | AdministratorActor | AccountSubject;

/** Whom a request comes from. */
export type Actor = AnonymousActor | AdministratorActor | Claimant | BearerActor | RefusedActor;

/** No credentials were sent, or the token is one that was issued without any. */
export interface AnonymousActor {
  readonly kind: 'anonymous';
}

/** The one who knows the secret `ADMIN_PASSWORD`. */
export interface AdministratorActor {
  readonly kind: 'administrator';
  readonly name: string;
}

/** Someone with an account. */
export interface AccountSubject {
  readonly kind: 'account';
  readonly name: AccountName;
}

/** Someone who says to have an account. Whether that is true is found out with what they ask for. */
export interface Claimant {
  readonly kind: 'claimant';
  readonly claim: Claim;
}

/** The holder of a token of ours: may do what it grants, whatever its subject may do. */
export interface BearerActor {
  readonly kind: 'bearer';
  readonly subject: Subject;
  readonly access: readonly RepositoryScope[];
}

/**
 * Credentials were sent, but they are not good. May do nothing, not even what an anonymous caller
 * may; it is the route that refuses, since only the route knows which scope to ask for instead.
 */
export interface RefusedActor {
  readonly kind: 'refused';
}

/** The user name that stands for whomever the secret belongs to. */
export const ANY_USERNAME = '$app';

export const ANONYMOUS: AnonymousActor = { kind: 'anonymous' };
export const ADMINISTRATOR: AdministratorActor = {
  kind: 'administrator',
  name: ADMINISTRATOR_NAME,
};
export const REFUSED: RefusedActor = { kind: 'refused' };

/** What tokens call the subject that has no name; the brackets make it no user name. */
const ANONYMOUS_NAME = '(anonymous)';

/** The subject as a token's `sub` claim names it. */
export function formatSubject(subject: Subject): string {
  return subject.kind === 'anonymous' ? ANONYMOUS_NAME : subject.name;
}

/** The subject that a token's `sub` claim names, or `null` if there is no such subject. */
export function parseSubject(name: string): Subject | null {
  switch (name) {
    case ANONYMOUS_NAME:
      return ANONYMOUS;
    case ADMINISTRATOR_NAME:
      return ADMINISTRATOR;
    default: {
      const account = parseAccountName(name);
      return account && { kind: 'account', name: account };
    }
  }
}
