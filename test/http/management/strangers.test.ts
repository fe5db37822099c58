import { afterEach, beforeEach, describe, it, vi } from 'vitest';

import { addMember, aNamespace, anAccount, giveRight } from '../../support/accounts.ts';
import { ADMINISTRATOR, basic, pushImage, send } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId } from '../../support/management.ts';
import { type ApiDocument, sendManaged } from '../../support/openapi.ts';
import { execute } from '../../support/stage.ts';
import { type Need, PARAMETERS, PRIVATE, type Row, ROWS } from './operation-rights.ts';

/** Where nothing is. */
const UNKNOWN = 'acme/unknown';

interface Operation {
  readonly method: string;
  /** With names in braces. */
  readonly template: string;
}

/** The operations of the API's own document by id. */
async function readOperations(): Promise<ReadonlyMap<string, Operation>> {
  const { text } = await send('GET', '/api/v1/openapi.json');
  const { paths } = JSON.parse(text) as ApiDocument;
  return new Map(
    Object.entries(paths).flatMap(([template, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => [
        operationId,
        { method: method.toUpperCase(), template },
      ]),
    ),
  );
}

function pathOf({ template }: Operation, query: string, repository = PRIVATE): string {
  const filled = { ...PARAMETERS, repository };
  const path = template.replaceAll(/\{([^}]+)\}/g, (_all, name: keyof typeof filled) => {
    const value = filled[name];
    if (value === undefined) {
      throw new Error(`no value is known for {${name}}`);
    }
    return value;
  });
  return `${path}${query}`;
}

/** What an operation answers somebody: the status, and of a refusal of access its type. */
async function answerTo(
  operation: Operation,
  [, , json, query = '']: Row,
  authorization: string | null,
): Promise<unknown> {
  // Who fails again and again is slowed down, which is not what this is about.
  vi.setSystemTime(Date.now() + 7000);
  const body = json === undefined ? {} : { json };
  const { method } = operation;
  const answer = await sendManaged(method, pathOf(operation, query), { ...body, authorization });
  return answer.status === 401 || answer.status === 403 ? errorOf(answer) : answer.status;
}

interface Caller {
  readonly title: string;
  readonly come: () => Promise<string | null>;
  readonly fulfils: readonly Need[];
  /** 401, for who is not known, or 403. */
  readonly isKnown: boolean;
}

const PERSON: readonly Need[] = [
  'person',
  'person or administrator',
  'known',
  'anybody good',
  'anybody',
];
const ROBOT: readonly Need[] = ['known', 'anybody good', 'anybody'];

async function withRight(
  name: string,
  role: 'read' | 'write' | 'admin',
  purpose: 'pull' | 'push' | 'pull_push' = 'pull_push',
): Promise<string> {
  const account = await anAccount(name, { purpose });
  await giveRight(account, await firstRepositoryId(), role);
  return as(account).authorization;
}

async function asMember(role: 'member' | 'creator' | 'admin'): Promise<string> {
  const account = await anAccount('ada');
  await addMember(account, await aNamespace('acme'), role);
  return as(account).authorization;
}

const CALLERS: readonly Caller[] = [
  {
    title: 'nobody in particular',
    come: async () => null,
    fulfils: ['anybody good', 'anybody'],
    isKnown: false,
  },
  {
    title: 'a stranger',
    come: async () => as(await anAccount('ada')).authorization,
    fulfils: PERSON,
    isKnown: true,
  },
  {
    title: 'a reader',
    come: async () => withRight('ada', 'read'),
    fulfils: [...PERSON, 'read'],
    isKnown: true,
  },
  {
    title: 'a writer',
    come: async () => withRight('ada', 'write'),
    fulfils: [...PERSON, 'read', 'write'],
    isKnown: true,
  },
  {
    title: 'a robot that is an admin of the repository',
    come: async () => withRight('acme+boss', 'admin'),
    fulfils: [...ROBOT, 'read', 'write', 'admin'],
    isKnown: true,
  },
  {
    title: 'a member',
    come: async () => asMember('member'),
    fulfils: [...PERSON, 'member'],
    isKnown: true,
  },
  {
    title: 'a member who makes repositories',
    come: async () => asMember('creator'),
    fulfils: [...PERSON, 'create', 'member'],
    isKnown: true,
  },
  {
    title: 'an admin of the organization',
    come: async () => asMember('admin'),
    fulfils: [...PERSON, 'read', 'write', 'admin', 'create', 'member', 'organization'],
    isKnown: true,
  },
  {
    title: 'a robot of another namespace',
    come: async () => as(await anAccount('other+ci')).authorization,
    fulfils: ROBOT,
    isKnown: true,
  },
  {
    title: 'a robot for pulls',
    come: async () => withRight('acme+pull', 'write', 'pull'),
    fulfils: [...ROBOT, 'read'],
    isKnown: true,
  },
  {
    title: 'a robot for pushes',
    come: async () => withRight('acme+push', 'write', 'push'),
    fulfils: [...ROBOT, 'write'],
    isKnown: true,
  },
  {
    title: 'the administrator',
    come: async () => ADMINISTRATOR,
    fulfils: [
      'read',
      'write',
      'admin',
      'create',
      'member',
      'organization',
      'person or administrator',
      'administrator',
      'administrator of an organization',
      'known',
      'anybody good',
      'anybody',
    ],
    isKnown: true,
  },
];

/** Those whom nobody believes; where only the administrator is let in their secret is not asked for. */
const UNPROVEN: readonly Omit<Caller, 'fulfils' | 'isKnown'>[] = [
  {
    title: 'somebody with a secret that is over',
    come: async () => as(await anAccount('ada', { expiresMs: 1 })).authorization,
  },
  {
    title: 'somebody with the secret of another',
    come: async () => basic('bob', (await anAccount('ada')).secret),
  },
  {
    title: 'somebody with a secret that was revoked',
    come: async () => {
      const { id, name, secret } = await anAccount('ada');
      await execute('DELETE FROM credential WHERE account_id = ?', id);
      return basic(name, secret);
    },
  },
  {
    title: 'somebody who is disabled',
    come: async () => as(await anAccount('ada', { isEnabled: false })).authorization,
  },
];

/** Time only goes on, from one test to the next. */
let latestMs = Date.now();
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: latestMs });
});
afterEach(() => {
  latestMs = Date.now() + 60_000;
  vi.useRealTimers();
});

async function answersTo(authorization: string | null): Promise<Record<string, unknown>> {
  const operations = await readOperations();
  const answers: Record<string, unknown> = {};
  for (const [id, row] of Object.entries(ROWS)) {
    const operation = operations.get(id);
    answers[id] =
      operation === undefined ? 'no such operation' : await answerTo(operation, row, authorization);
  }
  return answers;
}

describe('the management API', () => {
  it('has a row here for each of its operations', async ({ expect }) => {
    expect([...(await readOperations()).keys()].toSorted()).toEqual(Object.keys(ROWS).toSorted());
  });

  for (const { title, come, fulfils, isKnown } of CALLERS) {
    it(`lets ${title} do what they may`, { timeout: 60_000 }, async ({ expect }) => {
      await pushImage(PRIVATE, 'v1');
      const answers = await answersTo(await come());
      const refusal = isKnown ? [403, 'insufficient_scope'] : [401, 'invalid_token'];
      const expected = Object.entries(ROWS).map(([id, [need, status]]) => [
        id,
        fulfils.includes(need) ? status : refusal,
      ]);
      expect(answers).toEqual(Object.fromEntries(expected));
    });
  }

  for (const { title, come } of UNPROVEN) {
    it(`lets ${title} do nothing`, { timeout: 60_000 }, async ({ expect }) => {
      await pushImage(PRIVATE, 'v1');
      const answers = await answersTo(await come());
      const expected = Object.entries(ROWS).map(([id, [need, status]]) => {
        const refusal =
          need === 'administrator' ? [403, 'insufficient_scope'] : [401, 'invalid_token'];
        return [id, need === 'anybody' ? status : refusal];
      });
      expect(answers).toEqual(Object.fromEntries(expected));
    });
  }

  it('takes no token of the distribution API', { timeout: 60_000 }, async ({ expect }) => {
    await pushImage(PRIVATE, 'v1');
    const authorization = await asMember('admin');
    const scope = `repository:${PRIVATE}:pull,push,*`;
    const { text } = await send('GET', `/v2/auth?scope=${scope}`, { authorization });
    const { token } = JSON.parse(text) as { token: string };
    const answers = await answersTo(`Bearer ${token}`);
    for (const [id, [need, status]] of Object.entries(ROWS)) {
      expect([id, answers[id]]).toEqual([id, need === 'anybody' ? status : [401, 'invalid_token']]);
    }
  });

  it('answers alike for a repository that is not there and one that is not shown', async ({
    expect,
  }) => {
    await pushImage(PRIVATE, 'v1');
    const stranger = as(await anAccount('eve')).authorization;
    for (const [id, operation] of await readOperations()) {
      const [, , json, query = ''] = ROWS[id] ?? ['anybody', 0];
      if (!operation.template.includes('{repository}')) {
        continue;
      }
      for (const authorization of [null, stranger]) {
        const said = [];
        for (const repository of [PRIVATE, UNKNOWN]) {
          const body = json === undefined ? {} : { json };
          const path = pathOf(operation, query, repository);
          const { status, headers, text } = await sendManaged(operation.method, path, {
            ...body,
            authorization,
          });
          const kept = [...headers].filter(
            ([name]) => name !== 'x-request-id' && name !== 'berth-bookmark',
          );
          said.push(JSON.stringify([status, kept, text]).replaceAll(repository, 'NAME'));
        }
        expect([id, said[0]]).toEqual([id, said[1]]);
      }
    }
  });
});
