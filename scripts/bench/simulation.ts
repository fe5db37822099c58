/** What some piece of collection asks of D1. */
export interface Cost {
  readonly roundTrips: number;
  readonly statements: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/** Two things come due of each push: its leases soon, and the image that it took the tag from later. */
export const DUE = ['leases', 'image'] as const;
type Due = (typeof DUE)[number];

/** What a tick costs that finds nothing, a visit to a repository, and each thing that is due there. */
export interface Costs {
  readonly tick: Cost;
  readonly visit: Readonly<Record<Due, Cost>>;
  readonly each: Readonly<Record<Due, Cost>>;
}

/** What a run of the collector may use. */
export interface Limits {
  readonly statements: number;
  readonly repositories: number;
}

export interface Scenario {
  /** Those that are pushed to, each as often as any other. */
  readonly repositories: number;
  readonly pushesPerDay: number;
  readonly days: number;
}

/** What it came to. */
export interface Outcome {
  readonly asked: Cost;
  /** The part of all ticks that found nothing, and of those that left something for the next. */
  readonly idlePart: number;
  readonly fullPart: number;
  /** How long what was collected had been due, in minutes: the median, and the longest. */
  readonly medianDelayMin: number;
  readonly longestDelayMin: number;
  /** How many things were due and not collected at the end. */
  readonly left: number;
}

export const MINUTES_PER_DAY = 1440;
const NOTHING: Cost = { roundTrips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 };

const add = (one: Cost, other: Cost, times = 1): Cost => ({
  roundTrips: one.roundTrips + other.roundTrips * times,
  statements: one.statements + other.statements * times,
  rowsRead: one.rowsRead + other.rowsRead * times,
  rowsWritten: one.rowsWritten + other.rowsWritten * times,
});

/** What is due in a repository, by the minute in which it came due. */
type Waiting = Record<Due, number[]>;

/**
 * Collection, a tick a minute, of a registry that has been pushed to like this for longer than the
 * window: each push has its leases come due, and an image that an earlier one ended. A tick draws among
 * the repositories in which something is due, and stops at the limits of a run.
 */
export function simulate(
  { repositories, pushesPerDay, days }: Scenario,
  { costs, limits, random }: { costs: Costs; limits: Limits; random: () => number },
): Outcome {
  const due = new Map<number, Waiting>();
  const delays: number[] = [];
  let asked = NOTHING;
  let idle = 0;
  let full = 0;
  let pushed = 0;
  const ticks = days * MINUTES_PER_DAY;
  for (let minute = 0; minute < ticks; minute += 1) {
    for (; pushed < ((minute + 1) * pushesPerDay) / MINUTES_PER_DAY; pushed += 1) {
      for (const what of DUE) {
        waitingIn(due, Math.floor(random() * repositories))[what].push(minute);
      }
    }
    idle += Number(due.size === 0);
    let spent = costs.tick;
    for (const repository of drawn(due, { limit: limits.repositories, random })) {
      const waiting = waitingIn(due, repository);
      for (const what of DUE) {
        const used = visit(waiting[what], {
          what,
          costs,
          left: limits.statements - spent.statements,
        });
        spent = add(spent, used.cost);
        delays.push(...used.collected.map((dueMinute) => minute - dueMinute));
      }
      if (DUE.every((what) => waiting[what].length === 0)) {
        due.delete(repository);
      }
    }
    full += Number(due.size > 0);
    asked = add(asked, spent);
  }
  delays.sort((one, other) => one - other);
  return {
    asked,
    idlePart: idle / ticks,
    fullPart: full / ticks,
    medianDelayMin: delays[Math.floor(delays.length / 2)] ?? 0,
    longestDelayMin: delays.at(-1) ?? 0,
    left: [...due.values()].reduce(
      (sum, waiting) => sum + waiting.leases.length + waiting.image.length,
      0,
    ),
  };
}

function waitingIn(due: Map<number, Waiting>, repository: number): Waiting {
  const waiting = due.get(repository) ?? { leases: [], image: [] };
  due.set(repository, waiting);
  return waiting;
}

/** Takes what the statements that are left allow, the oldest first. */
function visit(
  waiting: number[],
  { what, costs, left }: { what: Due; costs: Costs; left: number },
): { cost: Cost; collected: readonly number[] } {
  const room = Math.floor((left - costs.visit[what].statements) / costs.each[what].statements);
  const count = Math.min(waiting.length, room);
  if (count <= 0) {
    return { cost: NOTHING, collected: [] };
  }
  return {
    cost: add(costs.visit[what], costs.each[what], count),
    collected: waiting.splice(0, count),
  };
}

/** Some of the repositories in which something is due, each as likely as any other. */
function drawn(
  due: ReadonlyMap<number, Waiting>,
  { limit, random }: { limit: number; random: () => number },
): readonly number[] {
  const all = [...due.keys()];
  const count = Math.min(limit, all.length);
  for (let at = 0; at < count; at += 1) {
    const other = at + Math.floor(random() * (all.length - at));
    [all[at], all[other]] = [all[other] ?? 0, all[at] ?? 0];
  }
  return all.slice(0, count);
}
