import { afterEach, beforeEach, describe, it, vi } from 'vitest';

import { addMember, aNamespace, anAccount, aSecret, giveRight } from '../support/accounts.ts';
import { basic, errorsOf, imageIn, type SentManifest, send } from '../support/http.ts';
import { execute, select } from '../support/stage.ts';

const PRIVATE = 'acme/private';
const PUBLIC = 'acme/public';
/** Where nothing is. */
const UNKNOWN = 'acme/unknown';

/** An image that is there, and its config. */
interface Content {
  readonly image: SentManifest;
  readonly blob: string;
}
/** By the repository's name; of the unknown one, what the private one has. */
type World = Readonly<Record<string, Content>>;

/** A request to a repository, of each kind that there is. */
const ROUTES: Readonly<
  Record<string, (name: string, content: Content) => readonly [string, string, BodyInit?, string?]>
> = {
  'GET manifest': (name) => ['GET', `/v2/${name}/manifests/v1`],
  'GET by digest': (name, { image }) => ['GET', `/v2/${name}/manifests/${image.digest}`],
  'HEAD manifest': (name) => ['HEAD', `/v2/${name}/manifests/v1`],
  'GET blob': (name, { blob }) => ['GET', `/v2/${name}/blobs/${blob}`],
  'HEAD blob': (name, { blob }) => ['HEAD', `/v2/${name}/blobs/${blob}`],
  tags: (name) => ['GET', `/v2/${name}/tags/list`],
  referrers: (name, { image }) => ['GET', `/v2/${name}/referrers/${image.digest}`],
  extensions: (name) => ['GET', `/v2/${name}/_oci/ext/discover`],
  'start upload': (name) => ['POST', `/v2/${name}/blobs/uploads/`],
  'upload status': (name) => ['GET', `/v2/${name}/blobs/uploads/none`],
  chunk: (name) => ['PATCH', `/v2/${name}/blobs/uploads/none`, 'x'],
  'close upload': (name, { blob }) => ['PUT', `/v2/${name}/blobs/uploads/none?digest=${blob}`, 'x'],
  'cancel upload': (name) => ['DELETE', `/v2/${name}/blobs/uploads/none`],
  'PUT manifest': (name, { image }) => [
    'PUT',
    `/v2/${name}/manifests/v2`,
    image.bytes,
    image.mediaType,
  ],
  'DELETE tag': (name) => ['DELETE', `/v2/${name}/manifests/none`],
  'DELETE blob': (name, { blob }) => ['DELETE', `/v2/${name}/blobs/${blob}`],
};

type Statuses = readonly number[];
/** In the order of the routes. A refusal is 401 throughout; HEAD of a blob is for both. */
const NOTHING: Statuses = Array.from({ length: 16 }, () => 401);
const PULLS: Statuses = [200, 200, 200, 200, 200, 200, 200, 200, ...NOTHING.slice(8)];
const WRITES: Statuses = [202, 404, 404, 404, 404, 201, 404, 405];
const BOTH: Statuses = [...PULLS.slice(0, 8), ...WRITES];
const PUSHES: Statuses = [401, 401, 200, 401, 200, 401, 401, 401, ...WRITES];
/** Of what is not there, to one who may make it; whoever only pulls is told in tests of pulls. */
const MAKES: Statuses = [
  404, 404, 404, 404, 404, 404, 200, 404, 202, 404, 404, 404, 404, 400, 404, 404,
];

async function prepare(): Promise<World> {
  const contents: Record<string, Content> = {};
  for (const name of [PRIVATE, PUBLIC]) {
    const image = await imageIn(name);
    const headers = { 'Content-Type': image.mediaType };
    await send('PUT', `/v2/${name}/manifests/v1`, { headers, body: image.bytes });
    const { config } = JSON.parse(new TextDecoder().decode(image.bytes)) as {
      config: { digest: string };
    };
    contents[name] = { image, blob: config.digest };
  }
  await execute(`UPDATE repository SET visibility = 'public' WHERE name = 'public'`);
  return { ...contents, [UNKNOWN]: contents[PRIVATE] as Content };
}

async function repositoryId(name: string): Promise<number> {
  const [row] = await select(`SELECT id FROM repository WHERE name = '${name.split('/')[1]}'`);
  return Number(row?.['id']);
}

/** Everybody there is: the header they come with. */
const CALLERS: readonly {
  readonly title: string;
  readonly come: () => Promise<string | null>;
  readonly private: Statuses;
  readonly public: Statuses;
  readonly unknown: Statuses;
}[] = [
  {
    title: 'nobody in particular',
    come: async () => null,
    private: NOTHING,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'a stranger',
    come: async () => headerOf(await anAccount('ada')),
    private: NOTHING,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'a reader',
    come: async () => withRight('ada', 'read'),
    private: PULLS,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'a writer',
    come: async () => withRight('ada', 'write'),
    private: BOTH,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'an admin of the repository',
    come: async () => withRight('acme+boss', 'admin'),
    private: BOTH,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'an admin of the organization',
    come: async () => {
      const account = await anAccount('ada');
      await addMember(account, await aNamespace('acme'), 'admin');
      return headerOf(account);
    },
    private: BOTH,
    public: BOTH,
    unknown: MAKES,
  },
  {
    title: 'a robot of another namespace',
    come: async () => headerOf(await anAccount('other+ci')),
    private: NOTHING,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'a robot for pulls',
    come: async () => withRight('acme+pull', 'write', 'pull'),
    private: PULLS,
    public: PULLS,
    unknown: NOTHING,
  },
  {
    title: 'a robot for pushes',
    come: async () => withRight('acme+push', 'write', 'push'),
    private: PUSHES,
    public: NOTHING,
    unknown: NOTHING,
  },
  {
    title: 'somebody with a secret that is over',
    come: async () => headerOf(await anAccount('ada', { expiresMs: 1 })),
    private: NOTHING,
    public: NOTHING,
    unknown: NOTHING,
  },
  {
    title: 'somebody with a secret that was revoked',
    come: async () => {
      const account = await anAccount('ada');
      const secret = await aSecret(account.id);
      await execute('DELETE FROM credential WHERE prefix = ?', secret.slice(0, 12));
      return basic(account.name, secret);
    },
    private: NOTHING,
    public: NOTHING,
    unknown: NOTHING,
  },
  {
    title: 'somebody with the secret of another',
    come: async () => basic('bob', (await anAccount('ada')).secret),
    private: NOTHING,
    public: NOTHING,
    unknown: NOTHING,
  },
  {
    title: 'somebody who is disabled',
    come: async () => headerOf(await anAccount('ada', { isEnabled: false })),
    private: NOTHING,
    public: NOTHING,
    unknown: NOTHING,
  },
];

const headerOf = ({ name, secret }: { name: string; secret: string }): string =>
  basic(name, secret);

async function withRight(
  name: string,
  role: 'read' | 'write' | 'admin',
  purpose: 'pull' | 'push' | 'pull_push' = 'pull_push',
): Promise<string> {
  const account = await anAccount(name, { purpose });
  await giveRight(account, await repositoryId(PRIVATE), role);
  return headerOf(account);
}

async function statusesOf(
  name: string,
  authorization: string | null,
  world: World,
): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {};
  for (const [route, request] of Object.entries(ROUTES)) {
    const [method, path, body = null, type] = request(name, world[name] as Content);
    const headers: Record<string, string> = type === undefined ? {} : { 'Content-Type': type };
    // Who fails again and again is slowed down, which is not what this is about.
    vi.setSystemTime(Date.now() + 7000);
    const answer = await send(method, path, { authorization, body, headers });
    statuses[route] = answer.status;
    if (answer.status === 401 && method !== 'HEAD') {
      const [error] = errorsOf(answer);
      statuses[route] = error?.code === 'UNAUTHORIZED' ? 401 : 0;
    }
  }
  return statuses;
}

const expected = (statuses: Statuses): Record<string, number> =>
  Object.fromEntries(Object.keys(ROUTES).map((route, index) => [route, statuses[index] ?? 0]));

/** The token that the endpoint gives for everything in a repository, as a header. */
async function tokenFor(name: string, authorization: string | null): Promise<string> {
  const path = `/v2/auth?scope=repository:${name}:pull,push,*`;
  const { text } = await send('GET', path, { authorization });
  return `Bearer ${String((JSON.parse(text) as { token?: string }).token)}`;
}

/** The names in the catalog, or the status of a refusal. */
async function listed(authorization: string | null): Promise<readonly string[] | number> {
  const { status, text } = await send('GET', '/v2/_catalog', { authorization });
  return status === 200 ? (JSON.parse(text) as { repositories: string[] }).repositories : status;
}

/** Time only goes on, from one test to the next. */
let latestMs = Date.now();
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: latestMs });
});
afterEach(() => {
  latestMs = Date.now() + 60_000;
  vi.useRealTimers();
});

describe('what they get', () => {
  for (const caller of CALLERS) {
    it(`who are ${caller.title}, by what they send and by a token for it`, async ({ expect }) => {
      const world = await prepare();
      const authorization = await caller.come();
      for (const [name, statuses] of [
        [UNKNOWN, caller.unknown],
        [PRIVATE, caller.private],
        [PUBLIC, caller.public],
      ] as const) {
        const token = await tokenFor(name, authorization);
        expect([name, await statusesOf(name, authorization, world)]).toEqual([
          name,
          expected(statuses),
        ]);
        if (name !== UNKNOWN || statuses === NOTHING) {
          expect([name, 'token', await statusesOf(name, token, world)]).toEqual([
            name,
            'token',
            expected(statuses),
          ]);
        }
      }
    });
  }

  it('is the same to the letter for what is not there and what they may not see', async ({
    expect,
  }) => {
    const world = await prepare();
    const stranger = headerOf(await anAccount('ada'));
    for (const authorization of [null, stranger]) {
      for (const request of Object.values(ROUTES)) {
        const answers = [];
        for (const name of [PRIVATE, UNKNOWN]) {
          const content = world[PRIVATE] as Content;
          const [method, path, body = null, type] = request(name, content);
          const headers: Record<string, string> =
            type === undefined ? {} : { 'Content-Type': type };
          const {
            status,
            headers: answered,
            text,
          } = await send(method, path, {
            authorization,
            body,
            headers,
          });
          const kept = [...answered].filter(([header]) => header !== 'x-request-id');
          const said = JSON.stringify([status, kept, text]);
          answers.push(said.replaceAll(name, 'NAME').replaceAll(/berth-bookmark","[^"]*/g, ''));
        }
        expect(answers[0]).toBe(answers[1]);
      }
    }
  });

  it('lists what they may pull from, and nothing else', async ({ expect }) => {
    await prepare();
    expect(await listed(null)).toBe(401);
    expect(await listed(headerOf(await anAccount('ada')))).toEqual([PUBLIC]);
    expect(await listed(await withRight('bob', 'read'))).toEqual([PRIVATE, PUBLIC]);
    expect(await listed(basic('bob', 'wrong'))).toBe(401);
    expect(await listed(await tokenFor(PUBLIC, await withRight('carol', 'read')))).toEqual([
      PRIVATE,
      PUBLIC,
    ]);
  });

  it('mounts nothing from where they may not pull', async ({ expect }) => {
    const { [PRIVATE]: content } = await prepare();
    const ada = await anAccount('ada');
    const target = '/v2/ada/mine/blobs/uploads/';
    const mount = async (query: string) =>
      (
        await send('POST', `${target}?mount=${content?.blob}${query}`, {
          authorization: headerOf(ada),
        })
      ).status;
    expect(await mount(`&from=${PRIVATE}`)).toBe(202);
    expect(await mount('')).toBe(202);
    await giveRight(ada, await repositoryId(PRIVATE), 'read');
    expect(await mount(`&from=${PRIVATE}`)).toBe(201);
  });
});
