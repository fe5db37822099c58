import {
  NOTIFICATION_ATTEMPTS_MAX,
  NOTIFICATION_BACK_OFF_FACTOR,
  NOTIFICATION_BACK_OFF_MS,
  NOTIFICATION_CLAIM_MS,
  NOTIFICATION_FIRST_RUN_MS_MAX,
  NOTIFICATION_FIRST_RUN_STATEMENTS_MAX,
  NOTIFICATION_RECEIVERS_AT_ONCE_MAX,
  NOTIFICATION_RUN_MS_MAX,
  NOTIFICATION_STATEMENTS_PER_RUN_MAX,
} from '../../model/notification-limits.ts';
import { toEpochSeconds } from '../../model/time.ts';
import { Batch } from '../../storage/d1/batch.ts';
import {
  deleteMessagesOfSwitchedOffStatement,
  deleteMessageStatement,
  failNotificationStatement,
  giveMessageUpStatement,
  nextMessageStatement,
  releaseNotificationStatement,
  takeDueNotificationsStatement,
  takenNotificationsStatement,
  takeNotificationsOfRepositoryStatement,
  type TakenNotification,
  type WaitingMessage,
} from '../../storage/d1/notification-outbox.ts';
import type { RegistryDeps } from '../deps.ts';
import { GarbageBudget } from '../garbage/budget.ts';
import { sendAgain } from '../send-again.ts';
import { parseReceiver, post } from './receiver.ts';
import { signedHeaders } from './signature.ts';

/** What one run may use. */
export interface DeliveryLimits {
  readonly statements: number;
  readonly durationMs: number;
}

/** What a run did. */
export interface DeliveryReport {
  /** Messages that were taken. */
  readonly delivered: number;
  /** Receivers that did not take one. */
  readonly failed: number;
  /** Messages that are not tried any more. */
  readonly givenUp: number;
  /** False if the limits were reached before all that was due was sent. */
  readonly isFinished: boolean;
}

/** Sends what waits to be told. */
export interface NotificationDeliveries {
  /**
   * Sends what is due, the notifications first that have been for the longest, some at once and each
   * one's messages one after the other. May run twice at once and may die anywhere: a notification is
   * held by one run, and a message that was sent and not noted is sent again, under the same id. A
   * receiver that takes none is asked ever more rarely, once however many wait for it: after
   * {@link NOTIFICATION_ATTEMPTS_MAX} times the message is given up, and after three of those the
   * notification is switched off.
   */
  deliverNotifications(limits?: Partial<DeliveryLimits>): Promise<DeliveryReport>;
}

const DEFAULT_LIMITS: DeliveryLimits = {
  statements: NOTIFICATION_STATEMENTS_PER_RUN_MAX,
  durationMs: NOTIFICATION_RUN_MS_MAX,
};

export function createNotificationDeliveries(deps: RegistryDeps): NotificationDeliveries {
  return {
    async deliverNotifications(limits = {}) {
      const run = new DeliveryRun(deps, { ...DEFAULT_LIMITS, ...limits });
      return run.report(await run.deliver(null));
    },
  };
}

/** Sends what is due in a repository, behind the answer; as {@link NotificationDeliveries} does. */
export function deliverSoon(repositoryId: number, deps: RegistryDeps): void {
  const limits = {
    statements: NOTIFICATION_FIRST_RUN_STATEMENTS_MAX,
    durationMs: NOTIFICATION_FIRST_RUN_MS_MAX,
  };
  deps.defer(new DeliveryRun(deps, limits).deliver(repositoryId));
}

/** What taking notifications up takes, and a message, and letting go, in statements to D1. */
const TAKE_STATEMENTS = 2;
const MESSAGE_STATEMENTS = 3;
const LEAVE_STATEMENTS = 3;

/** A notification that a run holds. */
interface Held {
  readonly taken: TakenNotification;
  readonly claimToken: string;
}

class DeliveryRun {
  readonly #deps: RegistryDeps;
  readonly #budget: GarbageBudget;
  #delivered = 0;
  #failed = 0;
  #givenUp = 0;

  constructor(deps: RegistryDeps, { statements, durationMs }: DeliveryLimits) {
    this.#deps = deps;
    this.#budget = new GarbageBudget({ statements, durationMs, repositories: 0 }, deps.clock);
  }

  report(isFinished: boolean): DeliveryReport {
    const [delivered, failed, givenUp] = [this.#delivered, this.#failed, this.#givenUp];
    return { delivered, failed, givenUp, isFinished };
  }

  /** Sends what is due in a repository, or in all; false if the limits were reached. */
  async deliver(repositoryId: number | null): Promise<boolean> {
    const most = TAKE_STATEMENTS + NOTIFICATION_RECEIVERS_AT_ONCE_MAX * LEAVE_STATEMENTS;
    while (this.#budget.takeStatements(most)) {
      const claimToken = this.#deps.ids.uuid();
      const taken = await this.#take(repositoryId, claimToken);
      if (taken.length === 0) {
        return true;
      }
      const outcomes = await Promise.allSettled(
        taken.map((each) => this.#sendAll({ taken: each, claimToken })),
      );
      const failures = outcomes.flatMap((outcome) =>
        outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
      );
      if (failures.length > 0) {
        const message = `${failures.length} notifications are left to the next run`;
        throw new AggregateError(failures, message);
      }
      const isStopped = outcomes.some((each) => each.status === 'fulfilled' && !each.value);
      if (isStopped || taken.length < NOTIFICATION_RECEIVERS_AT_ONCE_MAX) {
        return !isStopped;
      }
    }
    return false;
  }

  /** Not sent again if its answer is lost: what was taken up so is due again by itself. */
  async #take(
    repositoryId: number | null,
    claimToken: string,
  ): Promise<readonly TakenNotification[]> {
    const nowMs = this.#deps.clock.nowMs();
    const claim = { claimToken, claimUntilMs: nowMs + NOTIFICATION_CLAIM_MS };
    const taking = { ...claim, nowMs, limit: NOTIFICATION_RECEIVERS_AT_ONCE_MAX };
    const [, taken] = await this.#deps.database.primary.batch([
      repositoryId === null
        ? takeDueNotificationsStatement(taking)
        : takeNotificationsOfRepositoryStatement({ ...taking, repositoryId }),
      takenNotificationsStatement(claim),
    ]);
    return taken;
  }

  /** Sends what waits for one receiver until nothing does, or it fails; false: the limits are reached. */
  async #sendAll(held: Held): Promise<boolean> {
    let message = held.taken.first;
    let isProgress = false;
    while (message !== null && this.#budget.takeStatements(MESSAGE_STATEMENTS)) {
      const problem = await this.#send(held.taken, message);
      if (problem !== null) {
        await this.#fail(held, { message, problem, isProgress });
        return true;
      }
      this.#delivered += 1;
      isProgress = true;
      message = await this.#finish(held, message);
    }
    if (message !== null || !isProgress) {
      await this.#release(held, { isProgress });
    }
    return message === null;
  }

  /** Null if the receiver took the message, else why not. */
  async #send(
    { uuid, configJson }: TakenNotification,
    { messageId, body }: WaitingMessage,
  ): Promise<string | null> {
    const { settings, clock, fetch, report, legacyImageKey } = this.#deps;
    try {
      const { url: text } = JSON.parse(configJson) as { readonly url: string };
      // Asked again each time: the setting may have been taken back.
      const receiver = parseReceiver(text, { allowPrivate: settings.notificationPrivateAddresses });
      if ('problem' in receiver) {
        return receiver.problem;
      }
      const message = { messageId, timestampSec: toEpochSeconds(clock.nowMs()), body };
      const headers = await signedHeaders(message, uuid, legacyImageKey());
      return await post(receiver.url, { headers, body }, fetch);
    } catch (error) {
      report(error);
      return 'something went wrong here; the log has more';
    }
  }

  /** Forgets a message that was taken, and gives the next; null: there is none, or another run has it. */
  async #finish(
    { taken: { notificationId }, claimToken }: Held,
    { createdMs, messageId }: WaitingMessage,
  ): Promise<WaitingMessage | null> {
    const { database, clock } = this.#deps;
    return sendAgain(async () => {
      const batch = new Batch();
      batch.add(deleteMessageStatement({ notificationId, createdMs, messageId }));
      const next = batch.add(nextMessageStatement({ notificationId, claimToken }));
      batch.add(
        releaseNotificationStatement({
          notificationId,
          claimToken,
          nowMs: clock.nowMs(),
          isProgress: 1,
          onlyIfDone: 1,
        }),
      );
      return (await batch.run(database.primary)).firstOf(next);
    });
  }

  /** Leaves what waits to the next run. */
  async #release(
    { taken: { notificationId }, claimToken }: Held,
    { isProgress }: { readonly isProgress: boolean },
  ): Promise<void> {
    const { database, clock } = this.#deps;
    const release = releaseNotificationStatement({
      notificationId,
      claimToken,
      nowMs: clock.nowMs(),
      isProgress: Number(isProgress),
      onlyIfDone: 0,
    });
    await sendAgain(() => database.primary.all(release));
  }

  /** Leaves a message that was not taken to a later run, or gives it up. */
  async #fail(
    { taken, claimToken }: Held,
    {
      message,
      problem,
      isProgress,
    }: {
      readonly message: WaitingMessage;
      readonly problem: string;
      readonly isProgress: boolean;
    },
  ): Promise<void> {
    const { notificationId } = taken;
    const { createdMs, messageId } = message;
    const attempts = (isProgress ? 0 : taken.attempts) + 1;
    const isGivenUp = attempts >= NOTIFICATION_ATTEMPTS_MAX;
    // What comes after one that was given up begins anew.
    const backOffs = isGivenUp ? 0 : attempts - 1;
    const waitMs = NOTIFICATION_BACK_OFF_MS * NOTIFICATION_BACK_OFF_FACTOR ** backOffs;
    const held = { notificationId, claimToken };
    const batch = new Batch();
    if (isGivenUp) {
      batch.add(giveMessageUpStatement({ ...held, createdMs, messageId }));
    }
    batch.add(
      failNotificationStatement({
        ...held,
        attempts: isGivenUp ? 0 : attempts,
        error: problem,
        isProgress: Number(isProgress),
        isGivenUp: Number(isGivenUp),
        dueMs: this.#deps.clock.nowMs() + waitMs,
      }),
    );
    if (isGivenUp) {
      batch.add(deleteMessagesOfSwitchedOffStatement({ notificationId }));
    }
    await sendAgain(() => batch.run(this.#deps.database.primary));
    this.#failed += 1;
    this.#givenUp += Number(isGivenUp);
  }
}
