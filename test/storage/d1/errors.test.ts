import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { StoreUnavailable } from '../../../src/model/errors.ts';
import { openDatabase } from '../../../src/storage/d1/database.ts';
import {
  AnswerLost,
  AssertionFailed,
  ForeignKeyViolation,
  translateDatabaseError,
  UniqueViolation,
} from '../../../src/storage/d1/errors.ts';
import { type BoundValue, isRead, type Statement } from '../../../src/storage/d1/statement.ts';
import { Meter } from '../../../src/storage/meter.ts';

function statement(sql: string, ...values: BoundValue[]): Statement<Record<string, unknown>> {
  return { sql, values, toRow: (raw) => raw };
}

function primary() {
  const options = { meter: new Meter(), readConsistency: 'primary', bookmark: null } as const;
  return openDatabase(env.DB, options).primary;
}

async function failureOf(...statements: readonly Statement<unknown>[]): Promise<unknown> {
  return primary()
    .batch(statements)
    .catch((error: unknown) => error);
}

const A_NAMESPACE = statement("INSERT INTO namespace (name) VALUES ('acme')");

describe('what D1 says of a failed batch', () => {
  it('names the assertion, for every code that the schema has', async ({ expect }) => {
    const [row] = await primary().all(
      statement("SELECT sql FROM sqlite_schema WHERE name = 'batch_assert'"),
    );
    const codes = [...String(row?.['sql']).matchAll(/code <> '(\w+)'/g)].map((match) => match[1]);
    expect(codes.length).toBeGreaterThan(4);
    for (const code of codes) {
      const failure = await failureOf(
        A_NAMESPACE,
        statement('INSERT INTO batch_assert (code) VALUES (?1)', code ?? ''),
      );
      expect(failure, code).toBeInstanceOf(AssertionFailed);
      expect(failure).toMatchObject({ assertion: code });
    }
    expect(await primary().all(statement('SELECT * FROM namespace'))).toEqual([]);
  });

  it('names the columns of a unique index', async ({ expect }) => {
    const failure = await failureOf(A_NAMESPACE, A_NAMESPACE);
    expect(failure).toBeInstanceOf(UniqueViolation);
    expect(failure).toMatchObject({ columns: 'namespace.name' });
    const two = "INSERT INTO repository (namespace_id, name) SELECT id, 'app' FROM namespace";
    expect(await failureOf(A_NAMESPACE, statement(two), statement(two))).toMatchObject({
      columns: 'repository.namespace_id, repository.name',
    });
  });

  it('tells a broken reference', async ({ expect }) => {
    const orphan = statement("INSERT INTO repository (namespace_id, name) VALUES (4711, 'app')");
    expect(await failureOf(orphan)).toBeInstanceOf(ForeignKeyViolation);
    await expect(primary().all(orphan)).rejects.toBeInstanceOf(ForeignKeyViolation);
  });

  it('is left alone where it is none of these', async ({ expect }) => {
    for (const sql of ['SELECT nonsense', "INSERT INTO namespace (enabled) VALUES ('x')"]) {
      const failure = await failureOf(statement(sql));
      expect(failure).toBeInstanceOf(Error);
      for (const translated of [
        AssertionFailed,
        UniqueViolation,
        ForeignKeyViolation,
        AnswerLost,
      ]) {
        expect(failure).not.toBeInstanceOf(translated);
      }
    }
    const check = statement("INSERT INTO namespace (name, enabled) VALUES ('x', 7)");
    expect(await failureOf(check)).not.toBeInstanceOf(AssertionFailed);
  });
});

describe('an answer that did not arrive', () => {
  const lost = [
    'D1_ERROR: Network connection lost.',
    'D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.',
    'D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset.',
    'Cannot resolve D1 DB due to transient issue on remote node.',
    'D1_ERROR: D1 DB reset because its code was updated.',
    'D1_ERROR: D1 DB exceeded its CPU time limit and was reset.',
  ];
  for (const message of lost) {
    it(`is told from a refusal: ${message}`, ({ expect }) => {
      expect(translateDatabaseError(new Error(message))).toBeInstanceOf(AnswerLost);
      const wrapped = new Error('D1_ERROR', { cause: new Error(message) });
      const translated = translateDatabaseError(wrapped);
      expect(translated).toBeInstanceOf(AnswerLost);
      expect(translated).toMatchObject({ cause: wrapped });
    });
  }

  it('is another thing than too many requests, none of which began', ({ expect }) => {
    const message = 'D1_ERROR: D1 DB is overloaded. Too many requests queued.';
    const translated = translateDatabaseError(new Error(message));
    expect(translated).toBeInstanceOf(StoreUnavailable);
    expect(translated).not.toBeInstanceOf(AnswerLost);
  });

  it('is not seen in what is no error', ({ expect }) => {
    for (const thrown of [
      null,
      'Network connection lost',
      { message: 'Network connection lost' },
    ]) {
      expect(translateDatabaseError(thrown)).toBe(thrown);
    }
  });
});

describe('whether a statement only reads', () => {
  it.for([
    ['SELECT 1', true],
    ['WITH a AS (SELECT 1) SELECT * FROM a', true],
    ['WITH a AS (SELECT 1) INSERT INTO blob SELECT * FROM a', false],
    ["UPDATE tag SET name = 'x' RETURNING id", false],
    ['DELETE FROM tag', false],
    ['PRAGMA optimize', false],
  ] as const)('%s: %s', ([sql, isReading], { expect }) => {
    expect(isRead(statement(sql))).toBe(isReading);
  });
});
