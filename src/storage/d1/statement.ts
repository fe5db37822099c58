import { Placeholder, type SQL, is, sql } from 'drizzle-orm';
import { SQLiteSyncDialect } from 'drizzle-orm/sqlite-core';

/** What D1 can bind. Booleans are 0 and 1; lists travel as one JSON text for `json_each`. */
export type BoundValue = string | number | null;

/** SQL with its values, ready to be sent alone or in a batch, and how to read what comes back. */
export interface Statement<Row> {
  readonly sql: string;
  readonly values: readonly BoundValue[];
  readonly toRow: (raw: Record<string, unknown>) => Row;
}

/** Whether the statement can change nothing, as far as its words tell: in doubt it is no read. */
export function isRead({ sql: text }: Statement<unknown>): boolean {
  return /^(?:SELECT|WITH)\b/i.test(text) && !/\b(?:INSERT|UPDATE|DELETE|REPLACE)\b/i.test(text);
}

/** For each of a statement's parameters, the placeholder that stands for it in the SQL. */
export type Parameters<Values> = { readonly [Name in keyof Values & string]: Placeholder<Name> };

/** D1 refuses statements with more bound parameters. */
const BOUND_PARAMETERS_MAX = 100;

interface Compiled {
  readonly sql: string;
  readonly parameters: readonly string[];
}

/**
 * Defines a statement by Drizzle's `sql` template and gives the function that binds its values.
 *
 * The template is compiled at its first use and kept for the life of the isolate: compiling costs
 * some fifty microseconds of CPU, binding one or two. A parameter may be used many times and is
 * bound once. Unlike a Drizzle prepared query the result is bound to no database object, so that
 * it runs in any session and in any batch.
 *
 * Every selected column has an alias of its own: in D1 two columns of one name collapse into one.
 */
export function defineStatement<Values extends Record<string, BoundValue>, Raw = never, Row = Raw>(
  build: (parameters: Parameters<Values>) => SQL,
  toRow?: (raw: Raw) => Row,
): (values: Values) => Statement<Row> {
  let compiled: Compiled | undefined;
  const read = (toRow ?? ((raw: Raw) => raw)) as unknown as Statement<Row>['toRow'];
  return (values) => {
    compiled ??= compile(build(parameterProxy<Values>()));
    return {
      sql: compiled.sql,
      values: compiled.parameters.map((name) => values[name] as BoundValue),
      toRow: read,
    };
  };
}

function parameterProxy<Values>(): Parameters<Values> {
  return new Proxy(
    {},
    { get: (_target, name) => sql.placeholder(String(name)) },
  ) as Parameters<Values>;
}

/** Numbers the parameters, so that one which is used again is not bound again. */
function compile(query: SQL): Compiled {
  const { sql: text, params } = new SQLiteSyncDialect().sqlToQuery(query);
  const parameters: string[] = [];
  let position = 0;
  const numbered = text.replaceAll('?', () => {
    const parameter = params[position++];
    if (!is(parameter, Placeholder)) {
      throw new TypeError('a statement takes its values as named parameters');
    }
    const known = parameters.indexOf(parameter.name);
    return `?${known < 0 ? parameters.push(parameter.name) : known + 1}`;
  });
  if (parameters.length > BOUND_PARAMETERS_MAX) {
    throw new RangeError(`a statement has ${parameters.length} parameters`);
  }
  return { sql: numbered.replaceAll(/\s+/g, ' ').trim(), parameters };
}
