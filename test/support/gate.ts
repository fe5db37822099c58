/** One call of the code under test to D1 or R2. */
export interface StoreCall {
  readonly store: 'd1' | 'r2';
  /** `batch`, `all`, `put`, `uploadPart`, … */
  readonly operation: string;
}

/**
 * Stands between the code under test and its stores. It runs each call when it likes, more than
 * once, or never; the code sees what it returns.
 */
export type Gate = <Result>(call: StoreCall, run: () => Promise<Result>) => Promise<Result>;

export interface Bindings {
  readonly DB: D1Database;
  readonly BUCKET: R2Bucket;
  readonly CACHE: KVNamespace;
}

/** The same bindings with every call to D1 and R2 passed through the gate. They stay real. */
export function gated({ DB, BUCKET, CACHE }: Bindings, gate: Gate): Bindings {
  return { DB: gatedDatabase(DB, gate), BUCKET: gatedBucket(BUCKET, gate), CACHE };
}

/** Asks a gated statement for the real one, which is what a real batch takes. */
const ORIGINAL = Symbol('original');

function gatedDatabase<Target extends D1Database | D1DatabaseSession>(
  database: Target,
  gate: Gate,
): Target {
  return new Proxy(database, {
    get(target, name) {
      switch (name) {
        case 'withSession':
          return (constraint?: string) =>
            gatedDatabase((target as D1Database).withSession(constraint), gate);
        case 'prepare':
          return (text: string) => gatedStatement(target.prepare(text), gate);
        case 'batch':
          return (statements: readonly D1PreparedStatement[]) =>
            gate({ store: 'd1', operation: 'batch' }, () =>
              target.batch(statements.map((statement) => originalOf(statement))),
            );
        default:
          return memberOf(target, { name, names: [], gate });
      }
    },
  });
}

function originalOf(statement: D1PreparedStatement): D1PreparedStatement {
  return Reflect.get(statement, ORIGINAL) as D1PreparedStatement;
}

function gatedStatement(statement: D1PreparedStatement, gate: Gate): D1PreparedStatement {
  return new Proxy(statement, {
    get(target, name) {
      if (name === ORIGINAL) {
        return target;
      }
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') {
        return member;
      }
      if (name === 'bind') {
        return (...values: unknown[]) => gatedStatement(target.bind(...values), gate);
      }
      return (...parameters: unknown[]) =>
        gate({ store: 'd1', operation: String(name) }, () =>
          Promise.resolve(Reflect.apply(member, target, parameters) as unknown),
        );
    },
  });
}

const R2_OPERATIONS = ['head', 'get', 'put', 'delete', 'list', 'createMultipartUpload'];
const MULTIPART_OPERATIONS = ['uploadPart', 'complete', 'abort'];

function gatedBucket(bucket: R2Bucket, gate: Gate): R2Bucket {
  return new Proxy(bucket, {
    get(target, name) {
      if (name === 'resumeMultipartUpload') {
        return (key: string, id: string) =>
          gatedMembers(target.resumeMultipartUpload(key, id), {
            names: MULTIPART_OPERATIONS,
            gate,
          });
      }
      return memberOf(target, { name, names: R2_OPERATIONS, gate });
    },
  });
}

function gatedMembers<Target extends object>(
  target: Target,
  options: { names: readonly string[]; gate: Gate },
): Target {
  return new Proxy(target, { get: (_target, name) => memberOf(target, { name, ...options }) });
}

function memberOf(
  target: object,
  { name, names, gate }: { name: string | symbol; names: readonly string[]; gate: Gate },
): unknown {
  const member: unknown = Reflect.get(target, name, target);
  if (typeof member !== 'function') {
    return member;
  }
  const run = (parameters: unknown[]): unknown => Reflect.apply(member, target, parameters);
  return names.includes(String(name))
    ? (...parameters: unknown[]) =>
        gate({ store: 'r2', operation: String(name) }, () => Promise.resolve(run(parameters)))
    : (...parameters: unknown[]) => run(parameters);
}
