/** Answers by statement, as text; null while none are replayed. */
export type Replay = Map<string, string> | null;

/**
 * The database; but while there is a replay it asks each statement once, and from then on gives the
 * same answer, parsed anew each time, as an answer that comes over the network is. That is for many
 * requests that are all alike, and reads alone.
 */
export function replayedDatabase<Database extends D1Database | D1DatabaseSession>(
  database: Database,
  replay: () => Replay,
): Database {
  return new Proxy(database, {
    get(target, name) {
      const answers = replay();
      if (name === 'withSession') {
        return (constraint?: string) =>
          replayedDatabase((target as D1Database).withSession(constraint), replay);
      }
      if (name === 'prepare' && answers !== null) {
        return (sql: string) => ({
          bind: (...values: unknown[]) => ({
            all: () =>
              answerTo(answers, sql, () =>
                target
                  .prepare(sql)
                  .bind(...values)
                  .all(),
              ),
          }),
        });
      }
      if (name === 'batch' && answers !== null) {
        throw new Error('the benchmark replays no batches');
      }
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

async function answerTo(
  answers: Map<string, string>,
  sql: string,
  ask: () => Promise<D1Result>,
): Promise<D1Result> {
  const kept = answers.get(sql) ?? JSON.stringify(await ask());
  answers.set(sql, kept);
  return JSON.parse(kept) as D1Result;
}
