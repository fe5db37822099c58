import type { Housekeeping } from '../registry/index.ts';

/** One kind of clearing up: a bounded piece of work that the next run goes on with. */
export interface Job {
  /** Its name in the log, and of the lease that keeps two runs of it apart. */
  readonly name: string;
  /** Figures that are 0 unless something is wrong: the line is an error's if one is not. */
  readonly alarms?: readonly string[];
  /** Whether each thing that it works at is held for itself, so that no lease need keep runs apart. */
  readonly holdsItsWork?: boolean;
  /** Does the work and gives the figures for the log. */
  run(housekeeping: Housekeeping): Promise<Readonly<Record<string, number>>>;
}

const collectGarbage: Job = {
  name: 'collect-garbage',
  async run(housekeeping) {
    const { isFinished, ...figures } = await housekeeping.collectGarbage();
    return { ...figures, unfinished: Number(!isFinished) };
  },
};

const drainTombstones: Job = {
  name: 'drain-tombstones',
  async run(housekeeping) {
    const { taken, removed, failures } = await housekeeping.drainTombstones();
    if (failures.length > 0) {
      throw new AggregateError(failures, `${taken - removed} of ${taken} tombstones remain`);
    }
    return { taken, removed };
  },
};

const sweepEndedTags: Job = {
  name: 'sweep-ended-tags',
  async run(housekeeping) {
    return { swept: await housekeeping.sweepEndedTags() };
  },
};

const applyRetention: Job = {
  name: 'apply-retention',
  async run(housekeeping) {
    const { isFinished, ...figures } = await housekeeping.applyRetention();
    return { ...figures, unfinished: Number(!isFinished) };
  },
};

const rollUpPulls: Job = {
  name: 'roll-up-pulls',
  async run(housekeeping) {
    const { reports, isFinished } = await housekeeping.rollUpPulls();
    return { reports, unfinished: Number(!isFinished) };
  },
};

const expireUploads: Job = {
  name: 'expire-uploads',
  async run(housekeeping) {
    return { expired: await housekeeping.expireUploads() };
  },
};

const forgetOldRecords: Job = {
  name: 'forget-old-records',
  async run(housekeeping) {
    const { removals, releases, auditRecords, imports } = await housekeeping.forgetOldRecords();
    return { removals, releases, auditRecords, imports };
  },
};

const purgeNamespaces: Job = {
  name: 'purge-namespaces',
  async run(housekeeping) {
    const { isFinished, ...figures } = await housekeeping.purgeNamespaces();
    return { ...figures, unfinished: Number(!isFinished) };
  },
};

const purgeRepositories: Job = {
  name: 'purge-repositories',
  async run(housekeeping) {
    const { isFinished, ...figures } = await housekeeping.purgeRepositories();
    return { ...figures, unfinished: Number(!isFinished) };
  },
};

const continueImports: Job = {
  name: 'continue-imports',
  holdsItsWork: true,
  async run(housekeeping) {
    const { isFinished, ...figures } = await housekeeping.continueImports();
    return { ...figures, unfinished: Number(!isFinished) };
  },
};

const deliverNotifications: Job = {
  name: 'deliver-notifications',
  holdsItsWork: true,
  async run(housekeeping) {
    const { isFinished, ...figures } = await housekeeping.deliverNotifications();
    return { ...figures, unfinished: Number(!isFinished) };
  },
};

const tellOfEndingTags: Job = {
  name: 'tell-of-ending-tags',
  holdsItsWork: true,
  async run(housekeeping) {
    const { messages, isFinished } = await housekeeping.tellOfEndingTags();
    return { messages, unfinished: Number(!isFinished) };
  },
};

/** It says what its pass found so far, or the last one, so that a run which dies hides nothing. */
const auditStores: Job = {
  name: 'audit-stores',
  alarms: ['lateHints', 'unlistedManifests', 'unlistedBlobs', 'unownedObjects', 'damagedBlobs'],
  async run(housekeeping) {
    const { checked, found, endedMs } = await housekeeping.auditStores();
    return { ...checked, ...found, unfinished: Number(endedMs === null) };
  },
};

/**
 * Which jobs each cron expression starts, in order. The expressions are those of the triggers in
 * `wrangler.toml`; a test compares the two.
 */
export const SCHEDULE: ReadonlyMap<string, readonly Job[]> = new Map([
  ['* * * * *', [collectGarbage, continueImports, deliverNotifications]],
  ['*/5 * * * *', [drainTombstones, sweepEndedTags]],
  ['*/10 * * * *', [purgeNamespaces, purgeRepositories]],
  ['*/15 * * * *', [applyRetention, rollUpPulls]],
  // Off the full hour, when everybody's jobs start.
  ['17 * * * *', [expireUploads, forgetOldRecords]],
  // One pass a day; the hours after it are for a registry that takes more than one run.
  ['41 * * * *', [auditStores, tellOfEndingTags]],
]);
