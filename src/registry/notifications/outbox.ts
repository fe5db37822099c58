import type { Digest } from '../../model/digest.ts';
import type { RepositoryName } from '../../model/names.ts';
import { REFUSAL_MESSAGE_INTERVAL_MS } from '../../model/notification-limits.ts';
import { SEVERITIES } from '../../model/notifications.ts';
import type { Quota } from '../../model/quota.ts';
import type { Batch, BatchResults, BatchSlot } from '../../storage/d1/batch.ts';
import {
  isDueStatement,
  tellOfPushStatement,
  tellOfVulnerabilitiesStatement,
  wakeNotificationsStatement,
} from '../../storage/d1/notification-outbox.ts';
import {
  tellOfQuotaWarningStatement,
  tellOfRefusalStatement,
  wakeRefusalStatement,
} from '../../storage/d1/quota-messages.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { deliverSoon } from './deliveries.ts';
import {
  type Findings,
  type Occasion,
  pushMessage,
  quotaErrorMessage,
  quotaWarningMessage,
  vulnerabilityMessage,
} from './events.ts';

/** Whether a batch has something told: a row where it has. */
export type Told = BatchSlot<{ readonly isDue: number }>;

/** Where something happens, with the repository's row id. */
export interface Place extends Occasion {
  readonly repositoryId: number;
}

/** Has what was just written down sent. */
function addWaking(batch: Batch, { repositoryId, nowMs }: Place): Told {
  batch.add(wakeNotificationsStatement({ repositoryId, nowMs }));
  return batch.add(isDueStatement({ repositoryId, nowMs }));
}

/** Adds that tags were pushed; behind what pushes them, so that nobody is told unless they were. */
export function addPushMessage(
  batch: Batch,
  place: Place,
  pushed: {
    readonly tagNames: readonly string[];
    readonly digest: Digest;
    readonly messageId: string;
  },
): Told {
  const { repositoryId, nowMs } = place;
  const { messageId } = pushed;
  const body = pushMessage(place, pushed);
  batch.add(tellOfPushStatement({ repositoryId, messageId, nowMs, body }));
  return addWaking(batch, place);
}

/**
 * Adds that vulnerabilities were found, for those that want to hear of one so bad; directly behind the
 * statement that writes down that the manifest was scanned.
 */
export function addVulnerabilityMessage(
  batch: Batch,
  place: Place,
  found: Findings & { readonly messageId: string },
): Told {
  const { repositoryId, nowMs } = place;
  const { messageId } = found;
  const [worst] = found.vulnerabilities;
  const severities = SEVERITIES.slice(0, SEVERITIES.indexOf(worst.priority) + 1);
  const message = { repositoryId, messageId, nowMs, body: vulnerabilityMessage(place, found) };
  batch.add(tellOfVulnerabilitiesStatement({ ...message, severities: JSON.stringify(severities) }));
  return addWaking(batch, place);
}

/** Adds that a push crossed the warning of its namespace's quota; behind what adds its bytes. */
export function addQuotaWarning(
  batch: Batch,
  place: Place,
  pushed: { readonly addedBytes: number; readonly messageId: string },
): Told {
  const { repositoryId, nowMs } = place;
  const body = quotaWarningMessage(place);
  batch.add(tellOfQuotaWarningStatement({ ...pushed, repositoryId, nowMs, body }));
  return addWaking(batch, place);
}

/**
 * Has it told, behind the answer, that something was refused as the namespace has no room for it; to
 * whoever was not told so within the hour.
 */
export function tellOfRefusal(
  name: RepositoryName,
  refused: { readonly quota: Quota; readonly addedBytes: number },
  deps: RegistryDeps,
): void {
  deps.defer(writeRefusal(name, refused, deps));
}

async function writeRefusal(
  name: RepositoryName,
  refused: { readonly quota: Quota; readonly addedBytes: number },
  deps: RegistryDeps,
): Promise<void> {
  const { database, clock, ids } = deps;
  const nowMs = clock.nowMs();
  const refusal = { ...name, nowMs, messageId: ids.uuid() };
  const body = quotaErrorMessage({ ...name, nowMs }, refused);
  const toldUntilMs = nowMs - REFUSAL_MESSAGE_INTERVAL_MS;
  const [, [told]] = await sendAgain(() =>
    database.primary.batch([
      tellOfRefusalStatement({ ...refusal, body, toldUntilMs }),
      wakeRefusalStatement(refusal),
    ]),
  );
  if (told !== undefined) {
    deliverSoon(told.repositoryId, deps);
  }
}

/** Has what a batch wrote down sent behind the answer; where nothing is due, nothing is asked. */
export function deliverTold(
  told: readonly Told[],
  { results, repositoryId }: { readonly results: BatchResults; readonly repositoryId: number },
  deps: RegistryDeps,
): void {
  if (told.some((slot) => results.rowsOf(slot).length > 0)) {
    deliverSoon(repositoryId, deps);
  }
}
