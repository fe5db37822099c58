/** The bounds and lifetimes of notifications; the unit is in the name, the reason beside the number. */

/** All of a repository's are listed at once, and each is written to by what it is about. */
export const NOTIFICATIONS_PER_REPOSITORY_MAX = 20;
export const NOTIFICATION_TITLE_LENGTH_MAX = 255;
/** Some services carry a token of some hundred characters in the path. */
export const NOTIFICATION_URL_LENGTH_MAX = 2048;
/** How long before a tag ends its receiver may want to hear of it. */
export const NOTIFICATION_DAYS_MAX = 365;
/** What waits for one receiver; more is not kept. They are counted by each event that is added. */
export const NOTIFICATIONS_WAITING_MAX = 500;
/** Quay's: so many events in a row that were given up, and a notification is switched off. */
export const NOTIFICATION_FAILURES_MAX = 3;
/** How long a receiver may take to answer, which is Quay's; nothing of the answer is read. */
export const NOTIFICATION_ANSWER_MS_MAX = 10_000;
/** After a failure: a minute, 4, 16, 64, 256; in all more than 5 hours, which is a bad night. */
export const NOTIFICATION_BACK_OFF_MS = 60_000;
export const NOTIFICATION_BACK_OFF_FACTOR = 4;
export const NOTIFICATION_ATTEMPTS_MAX = 6;
/** Receivers that are asked at once: a Worker has six connections that wait for an answer. */
export const NOTIFICATION_RECEIVERS_AT_ONCE_MAX = 6;
/** What a run may use: the other jobs of the minute leave 200 of an invocation's 1000 statements. */
export const NOTIFICATION_STATEMENTS_PER_RUN_MAX = 180;
export const NOTIFICATION_RUN_MS_MAX = 30_000;
/** The first run goes on behind the answer, where the platform gives 30 s, the last answer included. */
export const NOTIFICATION_FIRST_RUN_MS_MAX = 10_000;
/** Two dozen messages at once: more come of a receiver that was down, and can wait for cron. */
export const NOTIFICATION_FIRST_RUN_STATEMENTS_MAX = 100;
/** A run that died keeps its receivers so long; it is longer than any run takes. */
export const NOTIFICATION_CLAIM_MS = 120_000;
/** A message names so many vulnerabilities, the worst, and so many tags; the rest is counted. */
export const NOTIFIED_VULNERABILITIES_MAX = 100;
export const NOTIFIED_TAGS_MAX = 100;
/** Whoever was told that a push was refused for the quota is not told of the next for so long. */
export const REFUSAL_MESSAGE_INTERVAL_MS = 3_600_000;
/** How often tags that will end are looked for; a little less than an hour, as cron is not exact. */
export const EXPIRY_SWEEP_INTERVAL_MS = 3_300_000;
/** Notifications that one transaction looks for such tags for, and how many of those a run has. */
export const EXPIRY_NOTIFICATIONS_PER_STEP_MAX = 20;
export const EXPIRY_SWEEP_STEPS_MAX = 30;
