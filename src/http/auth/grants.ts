import { NO_ACCESS } from '../../model/access.ts';
import type { Account } from '../../model/accounts.ts';
import type { AccessJudge, Judgement } from '../../registry/accounts/access.ts';
import {
  type AccountSubject,
  type AdministratorActor,
  ANONYMOUS,
  type AnonymousActor,
  type Claimant,
} from './actor.ts';
import { namespaceDisabled } from './namespaces.ts';
import { actionsOf, ALL_ACTIONS, askerOf } from './rights.ts';
import { type RepositoryScope, permits } from './scopes.ts';
import type { TokenContent } from './token.ts';

/** Who may ask for a token. */
export type Caller = AnonymousActor | AdministratorActor | Claimant;

/**
 * Whom a token would be for, and as much of the scopes as they may have; null if they are not who
 * they say. One statement, or none where nothing depends on the stores.
 *
 * @throws OciError 405 `DENIED` if a namespace that is asked for is disabled
 */
export async function grantScopes(
  scopes: readonly RepositoryScope[],
  { caller, judge }: { readonly caller: Caller; readonly judge: AccessJudge },
): Promise<Pick<TokenContent, 'subject' | 'access'> | null> {
  const { account, repositories } = await judgeCaller(caller, { scopes, judge });
  const subject = caller.kind === 'claimant' ? account && toSubject(account) : caller;
  if (subject === null) {
    return null;
  }
  const access = scopes.map((scope, index) => {
    const judged = repositories[index];
    if (judged?.isNamespaceDisabled === true) {
      throw namespaceDisabled(scope.repository.namespace);
    }
    const allowed =
      caller.kind === 'administrator' ? ALL_ACTIONS : actionsOf(judged?.access ?? NO_ACCESS);
    return { ...scope, actions: scope.actions.filter((action) => permits(allowed, action)) };
  });
  return { subject, access };
}

/** The administrator may do everything, but not where a namespace is closed. */
async function judgeCaller(
  caller: Caller,
  { scopes, judge }: { readonly scopes: readonly RepositoryScope[]; readonly judge: AccessJudge },
): Promise<Judgement> {
  if (scopes.length === 0 && caller.kind !== 'claimant') {
    return { account: null, repositories: [] };
  }
  return judge.judgeAccess(
    askerOf(caller.kind === 'administrator' ? ANONYMOUS : caller),
    scopes.map(({ repository }) => repository),
  );
}

function toSubject({ name }: Pick<Account, 'name'>): AccountSubject {
  return { kind: 'account', name };
}
