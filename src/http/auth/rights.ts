import { type Access, includesRole } from '../../model/access.ts';
import type { Asker } from '../../registry/accounts/access.ts';
import type { AccountSubject, AnonymousActor, Claimant } from './actor.ts';
import type { Action } from './scopes.ts';

/** What tokens call the administrator's rights everywhere. */
export const ALL_ACTIONS: readonly Action[] = ['pull', 'push', '*'];

/** The actions that someone's access to a repository comes to. A robot has those it is for. */
export function actionsOf({ role, purpose }: Access): readonly Action[] {
  const allowed: readonly Action[] = [
    ...(includesRole(role, 'read') ? (['pull'] as const) : []),
    ...(includesRole(role, 'write') ? (['push'] as const) : []),
    ...(includesRole(role, 'admin') ? (['*'] as const) : []),
  ];
  return purpose === 'pull_push' ? allowed : allowed.filter((action) => action === purpose);
}

/** How the rights of someone are asked for. */
export function askerOf(who: AnonymousActor | AccountSubject | Claimant): Asker {
  switch (who.kind) {
    case 'anonymous':
      return { kind: 'anonymous' };
    case 'account':
      return { kind: 'claimant', claim: { kind: 'signed', name: who.name, accountId: null } };
    case 'claimant':
      return { kind: 'claimant', claim: who.claim };
  }
}
