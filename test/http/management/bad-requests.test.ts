import { env } from 'cloudflare:workers';
import { beforeEach, describe, it, vi } from 'vitest';

import { ERROR_MESSAGE_LENGTH_MAX } from '../../../src/model/limits.ts';
import {
  type Components,
  mistakesIn,
  type Schema,
  UNKNOWN_FIELD,
  wrongTextsOf,
} from '../../support/bad-requests.ts';
import { type Call, send, sendAndSettle } from '../../support/http.ts';
import { messageOf } from '../../support/management.ts';
import { type ManagedCall, sendManaged } from '../../support/openapi.ts';
import { type SavedWorld, saveWorld } from '../../support/saved-world.ts';
import { select } from '../../support/stage.ts';
import {
  callerOf,
  controlsOf,
  goodBodiesOf,
  makeWorld,
  pathOf,
  type Place,
  placeOf,
  type World,
} from './good-requests.ts';
import { ROWS } from './operation-rights.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly schema: Schema;
}

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly template: string;
  readonly parameters: readonly Parameter[];
  readonly body: Schema | null;
}

interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: Components;
}

interface Described {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: Schema } };
  };
}

/** A request that must be refused. */
interface Bad {
  readonly title: string;
  readonly path: string;
  readonly call: ManagedCall;
  /** By default 400; 404: what is named belongs to somebody else. */
  readonly status?: 400 | 404 | 415;
  /** What the refusal must name. */
  readonly field: string;
}

let world: World;
let saved: SavedWorld | undefined;
let document: ApiDocument | undefined;
let tokens: Readonly<Record<'members' | 'permissions', string>>;

beforeEach(async () => {
  vi.stubGlobal('fetch', async () => new Response(null, { status: 503 }));
  document ??= JSON.parse((await send('GET', '/api/v1/openapi.json')).text) as ApiDocument;
  if (saved === undefined) {
    world = await makeWorld();
    saved = await saveWorld();
    tokens = {
      members: await firstToken('/organization/acme/members'),
      permissions: await firstToken('/repository/acme/private/permissions/user'),
    };
  } else {
    await saved.restore();
  }
});

/** Where the second page of a list begins. */
async function firstToken(path: string): Promise<string> {
  const { text, json } = await sendManaged('GET', `${path}?limit=1`);
  const { next_page: token } = json as { readonly next_page?: string };
  if (token === undefined) {
    throw new Error(`there is no second page: ${text}`);
  }
  return token;
}

function operationOf(wanted: string): { operation: Operation; components: Components } {
  for (const [template, methods] of Object.entries(document?.paths ?? {})) {
    for (const [method, { operationId: id, parameters = [], requestBody }] of Object.entries(
      methods,
    )) {
      if (id === wanted && document !== undefined) {
        const body = requestBody?.content['application/json'].schema ?? null;
        const operation = { id, method: method.toUpperCase(), template, parameters, body };
        return { operation, components: document.components };
      }
    }
  }
  throw new Error(`there is no operation '${wanted}'`);
}

/** All that the stores hold, by table. */
async function everything(): Promise<Readonly<Record<string, string>>> {
  const tables = await select(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '_cf_%'`,
  );
  const names = tables.map(({ name }) => String(name));
  const rows = await env.DB.batch(names.map((name) => env.DB.prepare(`SELECT * FROM "${name}"`)));
  const [{ objects }, { keys }] = await Promise.all([env.BUCKET.list(), env.CACHE.list()]);
  const values = await Promise.all(keys.map(async ({ name }) => [name, await env.CACHE.get(name)]));
  return {
    ...Object.fromEntries(names.map((name, at) => [name, textOf(rows[at]?.results)])),
    bucket: JSON.stringify(objects.map(({ key, etag, size }) => [key, etag, size])),
    cache: JSON.stringify(values),
  };
}

/** Without when a secret was used last: a caller is known before it is looked at what they ask for. */
function textOf(rows: unknown): string {
  return JSON.stringify(rows, (column, value: unknown) =>
    column === 'last_used_ms' ? undefined : value,
  );
}

const JSON_TYPE = { 'Content-Type': 'application/json' };
const text = (body: string, headers: Call['headers'] = JSON_TYPE): ManagedCall => ({
  body,
  headers,
});

function badBodies(path: string, { operation, components }: ReturnType<typeof operationOf>) {
  const { id, body } = operation;
  const goods = goodBodiesOf(id, world.here);
  const [good] = goods;
  if (body === null) {
    return [{ title: 'a body', path, call: { json: { [UNKNOWN_FIELD]: 1 } }, field: 'body' }];
  }
  const mistakes = goods.flatMap((each) => mistakesIn(body, each, { components }));
  const asJson = JSON.stringify(good);
  return [
    ...mistakes.map(({ title, value, field }) => ({
      title,
      path,
      call: text(JSON.stringify(value)),
      field: field === '' ? 'body' : field,
    })),
    { title: 'no body', path, call: text(''), field: 'body' },
    { title: 'no JSON', path, call: text('{"'), field: 'body' },
    { title: 'two values', path, call: text(`${asJson}${asJson}`), field: 'body' },
    { title: 'no body, no type', path, call: {}, field: 'body' },
    { title: 'another type', path, call: text(asJson, FORM), status: 415 as const, field: '' },
    { title: 'no type', path, call: text(asJson, PLAIN), status: 415 as const, field: '' },
  ];
}

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const PLAIN = { 'Content-Type': 'text/plain' };

function badQueries(path: string, operation: Operation, call: ManagedCall): readonly Bad[] {
  const { parameters } = operation;
  const known = path.includes('?') ? path.slice(path.indexOf('?')) : '';
  const bare = path.replace(known, '');
  const queries = parameters.filter((parameter) => parameter.in === 'query');
  const withQuery = (title: string, field: string, query: string): Bad => {
    const rest = new URLSearchParams(known);
    rest.delete(field);
    const others = rest.size === 0 ? '' : `&${rest.toString()}`;
    return { title, path: `${bare}?${query}${others}`, call, field };
  };
  return [
    withQuery('an unknown parameter', UNKNOWN_FIELD, `${UNKNOWN_FIELD}=1`),
    ...queries.flatMap(({ name, schema }) => [
      ...wrongTextsOf(schema).map((value) =>
        withQuery(`${name}=${value.slice(0, 20)}`, name, `${name}=${encodeURIComponent(value)}`),
      ),
      withQuery(`${name} twice`, name, `${name}=1&${name}=1`),
      withQuery(`${name} in brackets`, `${name}[]`, `${name}[]=1`),
    ]),
    ...(queries.some(({ name }) => name === 'next_page')
      ? ['x', '', '5', '0-0', 'acme/private', '::', '\0', tokenOfAnother(operation)].map((token) =>
          withQuery(`next_page=${token}`, 'next_page', `next_page=${encodeURIComponent(token)}`),
        )
      : []),
  ];
}

/** A token that another list gave. */
const tokenOfAnother = ({ id }: Operation): string =>
  id === 'listPermissions' ? tokens.members : tokens.permissions;

const WRONG_IN_PATH: Readonly<Record<string, string>> = {
  digest: 'sha256:none',
  tag: '-not-a-tag',
  organization: 'NOT-A-NAME',
  repository: 'acme/NOT-A-NAME',
  quota: 'one',
  account: 'NOT-A-NAME',
  robot: 'NOT-A-NAME',
  error_type: '',
};
const FOREIGN = ['label', 'policy', 'notification', 'import', 'release', 'uuid', 'digest'];

function badPaths(place: Place, operation: Operation, call: ManagedCall): readonly Bad[] {
  const { id, template, parameters } = operation;
  const [, , , query = ''] = ROWS[id] ?? ['anybody', 0];
  const names = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  return names.flatMap((name) => {
    const at = (title: string, value: string, status: 400 | 404): readonly Bad[] => {
      const path = pathOf(id, template.replace(`{${name}}`, encode(name, value)), place);
      return [{ title, path: `${path}${query}`, call, field: name, status }];
    };
    const kind = name === 'policy' ? pathOf(id, '{policy}', world.elsewhere) : null;
    const foreign = kind ?? world.elsewhere[name] ?? '';
    const isLookedFor = name === 'robot' && !id.startsWith('createRobot');
    const wrong = WRONG_IN_PATH[name] ?? 'not-an-id';
    return [
      ...(wrong === '' ? [] : at(`a ${name} that is none`, wrong, isLookedFor ? 404 : 400)),
      ...(FOREIGN.includes(name) ? at(`a ${name} of another`, foreign, 404) : []),
    ];
  });
}

/** A repository's name has slashes of its own. */
const encode = (name: string, value: string): string =>
  name === 'repository' ? value : encodeURIComponent(value);

function badRequestsOf(id: string): readonly Bad[] {
  const found = operationOf(id);
  const { operation } = found;
  const [, , , query = ''] = ROWS[id] ?? ['anybody', 0];
  const place = placeOf(id, world);
  const path = `${pathOf(id, operation.template, place)}${query}`;
  const [good] = controlsOf(id, world.here);
  const call = good === undefined ? {} : { json: good };
  return [
    ...(operation.method === 'GET' ? [] : badBodies(path, found)),
    ...badQueries(path, operation, call),
    ...badPaths(place, operation, call),
  ];
}

/** Null: it is refused as it must be. */
async function problemWith(
  { title, path, call, status = 400, field }: Bad,
  { method, authorization }: { readonly method: string; readonly authorization: string },
): Promise<string | null> {
  const answer = await sendManaged(method, path, { ...call, authorization, via: sendAndSettle });
  const message = answer.status >= 400 ? messageOf(answer) : '';
  const names = isNamed(field, message) && message.length <= ERROR_MESSAGE_LENGTH_MAX;
  return answer.status === status && (status !== 400 || names)
    ? null
    : `${title}: ${answer.status} ${answer.text.slice(0, 300)}`;
}

/** By its path at the start of the reason; or, of what is wrong together, in the reason. */
function isNamed(field: string, message: string): boolean {
  const list = field.replace(/\.\d+$/, '');
  const [, place = '', reason = ''] =
    /^(?:policy invalid: )?(\S+)(?: invalid)?: (.*)$/s.exec(message) ?? [];
  return (
    [field, list].includes(place) || (place === 'body' && new RegExp(`\\b${field}\\b`).test(reason))
  );
}

/** What does not take a good request: the refusal of one that is said to be good. */
async function refusedGoods(id: string): Promise<readonly string[]> {
  const { operation } = operationOf(id);
  const [, , , query = ''] = ROWS[id] ?? ['anybody', 0];
  const path = `${pathOf(id, operation.template, placeOf(id, world))}${query}`;
  const bodies = controlsOf(id, world.here);
  const refused: string[] = [];
  for (const call of bodies.length === 0 ? [{}] : bodies.map((json) => ({ json }))) {
    const options = { ...call, authorization: callerOf(id, world), via: sendAndSettle };
    const answer = await sendManaged(operation.method, path, options);
    if ([400, 401, 403, 415].includes(answer.status)) {
      refused.push(answer.text);
    }
  }
  return refused;
}

describe('the management API', () => {
  it.for(Object.keys(ROWS))(
    'refuses each mistake in a request of %s, and changes nothing',
    async (id, { expect }) => {
      const { operation } = operationOf(id);
      const sender = { method: operation.method, authorization: callerOf(id, world) };
      const before = await everything();
      const problems: string[] = [];
      for (const bad of badRequestsOf(id)) {
        const problem = await problemWith(bad, sender);
        if (problem !== null) {
          problems.push(problem);
        }
      }
      expect(problems).toEqual([]);
      const after = await everything();
      expect(Object.keys(after).filter((store) => after[store] !== before[store])).toEqual([]);
      // Last, as it may change the world: what was made wrong there was good.
      expect(await refusedGoods(id)).toEqual([]);
    },
  );
});
