import { type Access, NO_ACCESS, accessOf, anonymousAccess } from '../../model/access.ts';
import type { Account, AccountName } from '../../model/accounts.ts';
import { LAST_USE_INTERVAL_MS } from '../../model/limits.ts';
import type { RepositoryName } from '../../model/names.ts';
import {
  type FoundAccess,
  type StoredCredential,
  accessStatement,
} from '../../storage/d1/access.ts';
import { touchCredentialStatement } from '../../storage/d1/credentials.ts';
import type { RegistryDeps } from '../deps.ts';
import { isSecretOf, secretPrefix } from './secrets.ts';

/** Whom somebody says to be. */
export type Claim =
  /** They know a secret of an account; if they gave a name too, it must be that account's. */
  | { readonly kind: 'secret'; readonly username: string | null; readonly secret: string }
  /** Something that was signed here says so; of which account of that name, if `accountId` is known. */
  | { readonly kind: 'signed'; readonly name: AccountName; readonly accountId: number | null };

/** Who asks. The administrator is none of these, and needs no judgement. */
export type Asker =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'claimant'; readonly claim: Claim };

/** What was found out about who asks, and about the repositories that they ask for. */
export interface Judgement {
  /** Whose the claim is; null for who is anonymous, and for a claim that is false. */
  readonly account: Account | null;
  /** The repositories in their order. */
  readonly repositories: readonly JudgedRepository[];
}

export interface JudgedRepository {
  readonly access: Access;
  /** Whether its namespace exists and is closed to everybody. */
  readonly isNamespaceDisabled: boolean;
}

/** Decides who somebody is and what they may do. */
export interface AccessJudge {
  /**
   * Judges somebody for any number of repositories, whether or not these exist, in one statement. It
   * asks the stores the same for one who does not exist, and for one who may not.
   */
  judgeAccess(asker: Asker, names: readonly RepositoryName[]): Promise<Judgement>;
  /**
   * The same for one repository while it is being read: the question travels with the first
   * statements of `read`, which must write nothing. It is the caller who withholds what `read` came
   * to from somebody who may not have it.
   */
  judgeAccessWhile<Result>(
    asker: Asker,
    name: RepositoryName,
    read: () => Promise<Result>,
  ): Promise<{ readonly judgement: Judgement; readonly reading: Promise<Result> }>;
}

export function createAccessJudge(deps: RegistryDeps): AccessJudge {
  const { database } = deps;
  return {
    async judgeAccess(asker, names) {
      const rows = await database.primary.all(question(asker, names));
      return judge(asker, { rows, count: names.length }, deps);
    },

    async judgeAccessWhile(asker, name, read) {
      const isFound = (rows: readonly FoundAccess[]): boolean =>
        rows.some(({ facts }) => accessFor(asker, facts, deps).role !== null);
      const asked = { statement: question(asker, [name]), isFound };
      const { rows, reading } = await database.alongside(asked, read);
      return { judgement: await judge(asker, { rows, count: 1 }, deps), reading };
    },
  };
}

/** Who asks for nothing gets a row too, for what it says of them. */
function question(asker: Asker, names: readonly RepositoryName[]) {
  const pairs = names.map(({ namespace, repository }) => [namespace, repository]);
  const claim = asker.kind === 'claimant' ? asker.claim : null;
  return accessStatement({
    credentialPrefix: claim?.kind === 'secret' ? secretPrefix(claim.secret) : null,
    accountName: claim?.kind === 'signed' ? claim.name : null,
    repositories: JSON.stringify(pairs.length === 0 ? [[null, null]] : pairs),
  });
}

async function judge(
  asker: Asker,
  { rows, count }: { readonly rows: readonly FoundAccess[]; readonly count: number },
  deps: RegistryDeps,
): Promise<Judgement> {
  const isTrue = await isTrueClaim(asker, rows[0], deps);
  const byIndex = new Map(rows.map((row) => [row.index, row.facts]));
  const repositories = Array.from({ length: count }, (_, index) => {
    const facts = byIndex.get(index);
    return {
      access: facts === undefined || !isTrue ? NO_ACCESS : accessFor(asker, facts, deps),
      isNamespaceDisabled: facts?.namespace?.isEnabled === false,
    };
  });
  const account = asker.kind === 'claimant' && isTrue ? (rows[0]?.facts.account ?? null) : null;
  return { account, repositories };
}

function accessFor(asker: Asker, facts: FoundAccess['facts'], { settings }: RegistryDeps): Access {
  return asker.kind === 'anonymous' ? anonymousAccess(facts, settings) : accessOf(facts);
}

/** Whether somebody is who they say to be, and may log in. Nobody need prove to be anonymous. */
async function isTrueClaim(
  asker: Asker,
  row: FoundAccess | undefined,
  deps: RegistryDeps,
): Promise<boolean> {
  if (asker.kind === 'anonymous') {
    return true;
  }
  const account = row?.facts.account;
  const { claim } = asker;
  if (claim.kind === 'signed') {
    const isMeant = claim.accountId === null || claim.accountId === account?.id;
    return isMeant && account?.isEnabled === true;
  }
  const credential = row?.credential ?? null;
  const isProven = await isSecretOf(claim.secret, credential?.secretHash ?? null);
  const isNamed = claim.username === null || claim.username === account?.name;
  if (credential === null || !isProven || !isNamed || account?.isEnabled !== true) {
    return false;
  }
  const isGood = credential.expiresMs === null || credential.expiresMs > deps.clock.nowMs();
  if (isGood) {
    noteUse(credential, deps);
  }
  return isGood;
}

/** Behind the answer, and once a day: it is a row written. */
function noteUse(
  { id, lastUsedMs }: StoredCredential,
  { clock, database, defer }: RegistryDeps,
): void {
  const nowMs = clock.nowMs();
  const beforeMs = nowMs - LAST_USE_INTERVAL_MS;
  if (lastUsedMs === null || lastUsedMs < beforeMs) {
    const touch = touchCredentialStatement({ credentialId: id, nowMs, beforeMs });
    defer(database.primary.all(touch));
  }
}
