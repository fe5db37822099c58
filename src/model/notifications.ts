/** What a repository can tell of, in Quay's words; its others are of what does not exist here. */
export const NOTIFICATION_EVENTS = [
  'repo_push',
  'vulnerability_found',
  'repo_image_expiry',
  'quota_warning',
  'quota_error',
] as const;
export type NotificationEvent = (typeof NOTIFICATION_EVENTS)[number];

/** How bad a vulnerability is, in Quay's words, the worst last. */
export const SEVERITIES = ['Unknown', 'Negligible', 'Low', 'Medium', 'High', 'Critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** The severity that a scanner means, whatever its case; what it says beside these is not known. */
export function severityOf(text: string): Severity {
  const wanted = text.toLowerCase();
  return SEVERITIES.find((severity) => severity.toLowerCase() === wanted) ?? 'Unknown';
}

/** Which of its events a notification is about, in the form of Quay's API. */
export interface NotificationEventConfig {
  /** Of `vulnerability_found`: the least severity; without it, any. */
  readonly vulnerability?: { readonly priority: Severity } | undefined;
  /** Of `repo_image_expiry`: how many days before its end a tag is told of. */
  readonly days?: number | undefined;
}

/** What somebody wants to be told, and where. */
export interface NotificationContent {
  readonly event: NotificationEvent;
  readonly eventConfig: NotificationEventConfig;
  /** Where messages are posted to. */
  readonly url: string;
  readonly title: string | null;
}

/** A rule by which a repository tells of events. */
export interface Notification extends NotificationContent {
  readonly uuid: string;
  /** How many events were given up since the receiver took one last. */
  readonly numberOfFailures: number;
  /** Why it did not take the last one; null: it did. */
  readonly lastError: string | null;
  /** How many messages wait for it. */
  readonly waiting: number;
}
