/** What the stores were asked, as their bindings see it: also behind the answers. */
export interface Counts {
  roundTrips: number;
  statements: number;
  rowsRead: number;
  rowsWritten: number;
  kvReads: number;
  kvWrites: number;
  r2Reads: number;
  r2Writes: number;
}

export const noCounts = (): Counts => ({
  roundTrips: 0,
  statements: 0,
  rowsRead: 0,
  rowsWritten: 0,
  kvReads: 0,
  kvWrites: 0,
  r2Reads: 0,
  r2Writes: 0,
});

/** How R2 bills its operations; deletes and aborts are free. */
const R2_WRITES = new Set(['put', 'list', 'createMultipartUpload', 'uploadPart', 'complete']);
const R2_READS = new Set(['get', 'head']);
const KV_WRITES = new Set(['put', 'delete', 'list']);
const KV_READS = new Set(['get', 'getWithMetadata']);

type Count = (what: keyof Counts, by?: number) => void;

/** The same bindings, with every call counted where it leaves the Worker. */
export function countedBindings<Bindings extends Pick<Env, 'DB' | 'BUCKET' | 'CACHE'>>(
  bindings: Bindings,
  counts: Counts,
): Bindings {
  const count: Count = (what, by = 1) => {
    counts[what] += by;
  };
  return {
    ...bindings,
    DB: countedDatabase(bindings.DB, count),
    BUCKET: countedBucket(bindings.BUCKET, count),
    CACHE: countedCalls(bindings.CACHE, (name) => {
      if (KV_READS.has(name)) {
        count('kvReads');
      } else if (KV_WRITES.has(name)) {
        count('kvWrites');
      }
    }),
  };
}

/** A counted statement by the real one, which is what a real batch takes. */
const originals = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

function countedDatabase<Database extends D1Database | D1DatabaseSession>(
  database: Database,
  count: Count,
): Database {
  return new Proxy(database, {
    get(target, name) {
      switch (name) {
        case 'withSession':
          return (constraint?: string) =>
            countedDatabase((target as D1Database).withSession(constraint), count);
        case 'prepare':
          return (sql: string) => countedStatement(target.prepare(sql), count);
        case 'batch':
          return async (statements: readonly D1PreparedStatement[]) => {
            const real = statements.map((statement) => originals.get(statement) ?? statement);
            return countResults(await target.batch(real), count);
          };
        default:
          return boundMember(target, name);
      }
    },
  });
}

function countedStatement(statement: D1PreparedStatement, count: Count): D1PreparedStatement {
  const counted = new Proxy(statement, {
    get(target, name) {
      switch (name) {
        case 'bind':
          return (...values: unknown[]) => countedStatement(target.bind(...values), count);
        case 'all':
          return async () => countResults([await target.all()], count)[0];
        default:
          throw new Error(`the benchmark does not count '${String(name)}'`);
      }
    },
  });
  originals.set(counted, statement);
  return counted;
}

function countResults<Results extends readonly D1Result[]>(
  results: Results,
  count: Count,
): Results {
  count('roundTrips');
  count('statements', results.length);
  for (const { meta } of results) {
    count('rowsRead', meta.rows_read);
    count('rowsWritten', meta.rows_written);
  }
  return results;
}

function countedBucket(bucket: R2Bucket, count: Count): R2Bucket {
  const countCall = (name: string) => {
    if (R2_READS.has(name)) {
      count('r2Reads');
    } else if (R2_WRITES.has(name)) {
      count('r2Writes');
    }
  };
  const counted = countedCalls(bucket, countCall);
  return new Proxy(counted, {
    get: (target, name) =>
      name === 'resumeMultipartUpload'
        ? (key: string, id: string) =>
            countedCalls(bucket.resumeMultipartUpload(key, id), countCall)
        : (Reflect.get(target, name) as unknown),
  });
}

function countedCalls<Target extends object>(
  object: Target,
  countCall: (name: string) => void,
): Target {
  return new Proxy(object, {
    get(target, name) {
      const member = boundMember(target, name);
      return typeof member === 'function'
        ? (...parameters: unknown[]) => {
            countCall(String(name));
            return Reflect.apply(member, target, parameters) as unknown;
          }
        : member;
    },
  });
}

function boundMember(target: object, name: string | symbol): unknown {
  const member: unknown = Reflect.get(target, name, target);
  return typeof member === 'function' ? (member.bind(target) as unknown) : member;
}
