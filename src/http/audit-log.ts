import type { Context, MiddlewareHandler } from 'hono';

import { ADMINISTRATOR_NAME, parseAccountName } from '../model/accounts.ts';
import type { AuditKind, AuditMetadata, Performer } from '../model/audit-log.ts';
import { type NamespaceName, parseNamespaceName } from '../model/names.ts';
import type { RepositoryRef } from '../model/references.ts';
import type { AuditEvent } from '../registry/audit-log.ts';
import { type Login, performerOf } from './auth/login.ts';
import { countryOf, ipOf } from './request-source.ts';
import type { AppEnv } from './scope.ts';

/** What a request did, for the audit log. */
export interface Deed {
  readonly kind: AuditKind;
  /** What it was done to. */
  readonly repository?: RepositoryRef;
  /** The same where it is no repository. */
  readonly namespace?: NamespaceName;
  /** More of it: few and short values, and never a secret. */
  readonly metadata?: AuditMetadata;
}

/**
 * Has it written down who did this, once the request was answered. To be called by whatever changes
 * something, after it did; for what came to nothing there is no record.
 */
export function recordAudit(c: Context<AppEnv>, deed: Deed): void {
  c.var.deeds.push(deed);
}

/**
 * Middleware that writes down behind each answer what the request did, who it was and from where,
 * all in one statement; where it did nothing of note, nothing is asked of the stores.
 */
export function auditLog(): MiddlewareHandler<AppEnv> {
  return async function writeAuditLog(c, next) {
    c.set('deeds', []);
    await next();
    const events: readonly AuditEvent[] = [...loginEvents(c.var.login), ...c.var.deeds];
    if (events.length > 0) {
      c.var.scope.operations.recordAuditEvents(events, {
        performer: performerOfRequest(c),
        ip: ipOf(c.req),
        country: countryOf(c.req.raw),
      });
    }
  };
}

/**
 * A login that failed, and one that was for its own sake. The others are of machines: a client asks
 * for a token every few minutes, and what it does with it is written down for itself.
 */
function loginEvents(login: Login | null | undefined): readonly AuditEvent[] {
  if (login?.hasFailed === true) {
    const { username } = login;
    return [{ kind: 'login_failure', ...namespaceOf(username), metadata: { username } }];
  }
  return login?.isProbe === true && login.performer !== null
    ? [{ kind: 'login_success', ...namespaceOf(login.performer.name) }]
    : [];
}

/** The namespace that whoever has this name belongs to. */
function namespaceOf(username: string | null): { readonly namespace?: NamespaceName } {
  if (username === null || username === ADMINISTRATOR_NAME || !parseAccountName(username)) {
    return {};
  }
  const [name = ''] = username.split('+');
  const namespace = parseNamespaceName(name);
  return namespace === null ? {} : { namespace };
}

/** Who the request was found to come from; nobody knows before they were judged. */
export function performerOfRequest({ var: { actor, login } }: Context<AppEnv>): Performer {
  const subject = actor?.kind === 'bearer' ? actor.subject : null;
  return login?.performer ?? performerOf(subject) ?? { kind: 'anonymous', name: null };
}
