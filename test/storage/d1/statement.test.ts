import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, it } from 'vitest';

import { type Parameters, defineStatement } from '../../../src/storage/d1/statement.ts';

function withParameters(count: number) {
  return defineStatement<Record<string, number>>((p: Parameters<Record<string, number>>) =>
    sql.join(
      Array.from({ length: count }, (_, at) => sql`${p[`p${at}`]}`),
      sql`, `,
    ),
  );
}

describe('a statement', () => {
  it('numbers its parameters and binds each once, in order of their first use', async ({
    expect,
  }) => {
    const define = defineStatement<{ one: number; two: string }>(
      (p) => sql`
        SELECT ${p.two} AS two, ${p.one} AS one,
          ${p.two} || ${p.one} AS both`,
    );
    const { sql: text, values } = define({ one: 1, two: 'two' });
    expect(text).toBe('SELECT ?1 AS two, ?2 AS one, ?1 || ?2 AS both');
    expect(values).toEqual(['two', 1]);
    const { results } = await env.DB.prepare(text)
      .bind(...values)
      .all();
    expect(results).toMatchObject([{ two: 'two', one: 1 }]);
  });

  it('is compiled once and bound anew', ({ expect }) => {
    let builds = 0;
    const define = defineStatement<{ value: number | null }>((p) => {
      builds += 1;
      return sql`SELECT ${p.value} AS value`;
    });
    expect(define({ value: 1 }).values).toEqual([1]);
    expect(define({ value: null }).values).toEqual([null]);
    expect(builds).toBe(1);
  });

  it('takes a hundred parameters and not one more', ({ expect }) => {
    const values = Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`p${at}`, at]));
    expect(withParameters(100)(values).values).toHaveLength(100);
    expect(() => withParameters(101)(values)).toThrow(RangeError);
  });

  it('takes its values as parameters only', ({ expect }) => {
    expect(() => defineStatement(() => sql`SELECT ${'a value'}`)({})).toThrow(TypeError);
    expect(() => defineStatement(() => sql`SELECT ${sql.raw("'what?'")}`)({})).toThrow(TypeError);
  });
});
