/**
 * The registry's Worker with its stores counted, and beside it, under `/bench/`, what the benchmark
 * fills and reads it by. It is for a local runtime that nobody else reaches.
 */
import registry from '../../../src/index.ts';
import { type Counts, countedBindings, noCounts } from './counted.ts';
import { answerObject } from './object.ts';
import { type Replay, replayedDatabase } from './replayed.ts';

/** The stores are asked by one isolate, so what it counts is all there is. */
const counts = noCounts();
let counted: Env | undefined;
/** The registry keeps the bindings that it is given first, so these can be told to replay. */
let replay: Replay = null;
const bindingsOf = (env: Env): Env =>
  countedBindings({ ...env, DB: replayedDatabase(env.DB, () => replay) }, counts);
/** What goes on behind answers. */
let background: Promise<unknown>[] = [];

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    counted ??= bindingsOf(env);
    if (pathname.startsWith('/bench/object/')) {
      return answerObject(request, env.BUCKET);
    }
    switch (pathname) {
      case '/bench/empty':
        return new Response('{}');
      case '/bench/statement':
        return Response.json(await runStatement(counted.DB));
      case '/bench/sql':
        return Response.json(await runSql(env.DB, await request.json()));
      case '/bench/counts':
        return Response.json(await takeCounts());
      case '/bench/repeat':
        return repeat(request, { bindings: counted, context });
      default:
        return registry.fetch(request, counted, watched(context));
    }
  },

  async scheduled(controller, env, context) {
    counted ??= bindingsOf(env);
    await registry.scheduled(controller, counted, watched(context));
  },
} satisfies ExportedHandler<Env>;

/** What one statement costs in a Worker that does nothing else. */
async function runStatement(database: D1Database): Promise<unknown> {
  const session = database.withSession('first-unconstrained');
  return session.prepare('SELECT id, name FROM namespace LIMIT ?').bind(1).all();
}

/**
 * Asks for the path in `X-Path` so many times as `X-Times` says, without a network between. What
 * that takes is the Worker's own CPU time and that of the local stores; without the database's, if
 * `X-Database` says that its answers are replayed, and without the development server's for what is
 * logged, if `X-Log` says that nobody reads it.
 */
async function repeat(
  { headers, url }: Request,
  { bindings, context }: { bindings: Env; context: ExecutionContext },
): Promise<Response> {
  const path = headers.get('X-Path') ?? '/';
  const authorization = headers.get('Authorization') ?? '';
  replay = headers.get('X-Database') === 'replayed' ? new Map() : null;
  const unmute = headers.get('X-Log') === 'unread' ? muteLog() : null;
  const answers = new Set<number>();
  for (let times = Number(headers.get('X-Times')); times > 0; times -= 1) {
    const request = new Request<unknown, IncomingRequestCfProperties>(new URL(path, url), {
      headers: { Authorization: authorization },
    });
    const answer =
      path === '/bench/empty'
        ? new Response('{}')
        : await registry.fetch(request, bindings, context);
    await answer.arrayBuffer();
    answers.add(answer.status);
  }
  replay = null;
  unmute?.();
  return Response.json([...answers]);
}

/** Has what is logged go nowhere until the result is called. */
function muteLog(): () => void {
  const { log } = console;
  const become = (write: typeof log) => Object.assign(console, { log: write });
  become(() => undefined);
  return () => become(log);
}

/** The rows of each statement; all of them are one transaction. */
async function runSql(database: D1Database, statements: unknown): Promise<unknown> {
  const texts = statements as readonly string[];
  const results = await database.batch(texts.map((sql) => database.prepare(sql)));
  return results.map(({ results: rows }) => rows);
}

/** What was counted since the last time, when nothing goes on any more. */
async function takeCounts(): Promise<Counts> {
  const waiting = background;
  background = [];
  await Promise.allSettled(waiting);
  const taken = { ...counts };
  Object.assign(counts, noCounts());
  return taken;
}

function watched(context: ExecutionContext): ExecutionContext {
  return new Proxy(context, {
    get(target, name) {
      if (name === 'waitUntil') {
        return (work: Promise<unknown>) => {
          background.push(work);
          target.waitUntil(work);
        };
      }
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
