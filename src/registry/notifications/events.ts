import type { Digest } from '../../model/digest.ts';
import { NOTIFIED_VULNERABILITIES_MAX } from '../../model/notification-limits.ts';
import {
  type NotificationContent,
  SEVERITIES,
  type Severity,
  severityOf,
} from '../../model/notifications.ts';
import type { Quota } from '../../model/quota.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import type { ReportedVulnerability, SecurityReport } from '../../model/security.ts';
import type { EpochMs } from '../../model/time.ts';

/*
 * What messages say, in the fields of Quay's and some more. They are for any receiver, so they have
 * neither addresses of the registry, which may have several, nor what only some may see.
 */

/** Where something happened, and when. */
export interface Occasion {
  readonly namespace: string;
  readonly repository: string;
  readonly nowMs: EpochMs;
  /** Whether it did not happen: somebody wants to see such a message. */
  readonly isTest?: boolean;
}

function toBody(
  event: NotificationContent['event'],
  { namespace, repository: name, nowMs, isTest = false }: Occasion,
  more: Readonly<Record<string, unknown>>,
): string {
  const time = formatRfc3339(nowMs);
  return JSON.stringify({
    event,
    time,
    repository: `${namespace}/${name}`,
    namespace,
    name,
    ...more,
    ...(isTest && { test: true }),
  });
}

/** Tags that a push has moved, or made. */
export function pushMessage(
  occasion: Occasion,
  { tagNames, digest }: { readonly tagNames: readonly string[]; readonly digest: Digest },
): string {
  return toBody('repo_push', occasion, { updated_tags: tagNames, manifest_digest: digest });
}

/** Vulnerabilities that are new in a manifest, the worst first, and which tags hold it. */
export interface Findings {
  readonly digest: string;
  readonly tagNames: readonly string[];
  readonly vulnerabilities: readonly [Vulnerability, ...(readonly Vulnerability[])];
}

/** A vulnerability as messages have it. */
export interface Vulnerability {
  readonly id: string;
  readonly priority: Severity;
  readonly has_fix: boolean;
  readonly link: string | null;
}

/** How many vulnerabilities were found, and the worst of them. */
export function vulnerabilityMessage(
  occasion: Occasion,
  { digest, tagNames, vulnerabilities }: Findings,
): string {
  return toBody('vulnerability_found', occasion, {
    manifest_digest: digest,
    tags: tagNames,
    vulnerability: vulnerabilities[0],
    vulnerabilities: vulnerabilities.slice(0, NOTIFIED_VULNERABILITIES_MAX),
    vulnerability_count: vulnerabilities.length,
  });
}

/** The vulnerabilities of a report that an earlier one has not, the worst first. */
export function newVulnerabilities(
  report: SecurityReport,
  earlier: SecurityReport | null,
): readonly Vulnerability[] {
  const known = new Set(earlier === null ? [] : namedIn(earlier).map(({ Name }) => Name));
  const found = new Map<string, Vulnerability>();
  for (const { Name: id, Severity: word, FixedBy, Link } of namedIn(report)) {
    const priority = severityOf(word);
    const earlierOne = found.get(id);
    if (!known.has(id) && (earlierOne === undefined || isWorse(priority, earlierOne.priority))) {
      found.set(id, { id, priority, has_fix: Boolean(FixedBy), link: Link ?? null });
    }
  }
  return [...found.values()].toSorted(
    (one, other) =>
      SEVERITIES.indexOf(other.priority) - SEVERITIES.indexOf(one.priority) ||
      (one.id < other.id ? -1 : 1),
  );
}

function namedIn({ Layer }: SecurityReport): readonly ReportedVulnerability[] {
  return Layer.Features.flatMap(({ Vulnerabilities }) => Vulnerabilities ?? []);
}

function isWorse(one: Severity, other: Severity): boolean {
  return SEVERITIES.indexOf(one) > SEVERITIES.indexOf(other);
}

/** A push has brought the namespace above the warning; the database adds how far. */
export function quotaWarningMessage(occasion: Occasion): string {
  return toBody('quota_warning', occasion, {});
}

/** Something was refused, as the namespace has no room for it. */
export function quotaErrorMessage(
  occasion: Occasion,
  { quota, addedBytes }: { readonly quota: Quota; readonly addedBytes: number },
): string {
  return toBody('quota_error', occasion, {
    limit_bytes: quota.limitBytes,
    reject_percent: quota.rejectPercent,
    used_bytes: quota.usedBytes,
    added_bytes: addedBytes,
  });
}

/** A message of the kind that a notification is about, of what did not happen. */
export function sampleMessage(
  { event, eventConfig }: Pick<NotificationContent, 'event' | 'eventConfig'>,
  occasion: Occasion,
): string {
  const digest = `sha256:${'0'.repeat(64)}` as Digest;
  switch (event) {
    case 'repo_push':
      return pushMessage(occasion, { tagNames: ['latest'], digest });
    case 'vulnerability_found': {
      const priority = eventConfig.vulnerability?.priority ?? 'Critical';
      const vulnerability = { id: 'CVE-0000-0000', priority, has_fix: false, link: null };
      return vulnerabilityMessage(occasion, {
        digest,
        tagNames: ['latest'],
        vulnerabilities: [vulnerability],
      });
    }
    case 'repo_image_expiry':
      return toBody(event, occasion, {
        expiring_in: `${eventConfig.days} days`,
        tags: ['latest'],
      });
    case 'quota_warning':
      return toBody(event, occasion, SAMPLE_QUOTA);
    case 'quota_error':
      return quotaErrorMessage(occasion, { quota: SAMPLE_REFUSAL, addedBytes: 200_000 });
  }
}

const SAMPLE_QUOTA = { limit_bytes: 1_000_000, warning_percent: 80, used_bytes: 850_000 };
const SAMPLE_REFUSAL = {
  limitBytes: 1_000_000,
  warningPercent: 80,
  rejectPercent: 100,
  usedBytes: 850_000,
};
