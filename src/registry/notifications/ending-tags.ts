import {
  EXPIRY_NOTIFICATIONS_PER_STEP_MAX,
  EXPIRY_SWEEP_INTERVAL_MS,
  EXPIRY_SWEEP_STEPS_MAX,
} from '../../model/notification-limits.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import {
  markEndingTagsStatement,
  sweepExpiryNotificationsStatement,
  tellOfEndingTagsStatement,
  wakeEndingTagsStatement,
} from '../../storage/d1/ending-tags.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** Tells of tags before they end. */
export interface EndingTags {
  /**
   * Writes down what is to be told of tags that will end: for each notification that was not looked at
   * within the hour, a message of 100 tags at most. Each is told of once, unless it gets another end.
   * Notifications are looked at some at a time, each step a transaction; may run twice at once and may
   * die anywhere. Gives how many messages it knows to have written.
   */
  tellOfEndingTags(): Promise<{ readonly messages: number; readonly isFinished: boolean }>;
}

export function createEndingTags({ database, clock, ids }: RegistryDeps): EndingTags {
  const takeStep = async () => {
    const nowMs = clock.nowMs();
    const limit = EXPIRY_NOTIFICATIONS_PER_STEP_MAX;
    const sweep = { nowMs, sweptUntilMs: nowMs - EXPIRY_SWEEP_INTERVAL_MS, limit };
    const messageId = ids.uuid();
    const [messages, , , swept] = await database.primary.batch([
      tellOfEndingTagsStatement({ ...sweep, messageId, time: formatRfc3339(nowMs) ?? '' }),
      markEndingTagsStatement({ ...sweep, messageId }),
      wakeEndingTagsStatement(sweep),
      sweepExpiryNotificationsStatement(sweep),
    ]);
    return { messages: messages.length, isLast: swept.length < limit };
  };
  return {
    async tellOfEndingTags() {
      let messages = 0;
      for (let count = 0; count < EXPIRY_SWEEP_STEPS_MAX; count += 1) {
        // Sent again it is another step: what an earlier sending looked at is not due any more.
        const step = await sendAgain(takeStep);
        messages += step.messages;
        if (step.isLast) {
          return { messages, isFinished: true };
        }
      }
      return { messages, isFinished: false };
    },
  };
}
