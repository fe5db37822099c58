import { env } from 'cloudflare:workers';
import { describe, it, vi } from 'vitest';

import { addMember, aNamespace, anAccount } from '../support/accounts.ts';
import {
  type Answer,
  aName,
  basic,
  type Call,
  imageIn,
  pushImage,
  sendAndSettle,
} from '../support/http.ts';
import { select } from '../support/stage.ts';

/** Every table as text. */
async function dumpTables(): Promise<string> {
  const tables = await select(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
      AND name NOT LIKE '_cf_%'`,
  );
  const rows = await Promise.all(tables.map(({ name }) => select(`SELECT * FROM "${name}"`)));
  return JSON.stringify(rows);
}

/** What a text may hide a secret as: itself, Basic's base64, or escaped for a URL. */
function formsOf(secret: string): readonly string[] {
  return [secret, encodeURIComponent(secret), btoa(secret)];
}

/** What an eavesdropper on the log, the answers and the tables hears of what goes on meanwhile. */
async function overhear(act: () => Promise<readonly Answer[]>): Promise<string> {
  const heard: string[] = [];
  const listen = (...args: readonly unknown[]) => void heard.push(args.map(String).join(' '));
  const spies = (['log', 'error', 'warn', 'info', 'debug'] as const).map((method) =>
    vi.spyOn(console, method).mockImplementation(listen),
  );
  try {
    const answers = await act();
    heard.push(...answers.map(({ text, headers }) => `${text} ${JSON.stringify([...headers])}`));
  } finally {
    spies.forEach((spy) => {
      spy.mockRestore();
    });
  }
  return [...heard, await dumpTables()].join('\n');
}

const WRONG = 'Tr0ub4dor&3 nobody knows';
const TYPED_AS_A_NAME = 'my-S3cret in the wrong field';

describe('secrets', () => {
  it('are in no log, no answer and no table: of the administrator, of people and of robots', async ({
    expect,
  }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const image = await imageIn(name);
    const [ada, robot] = [await anAccount('ada'), await anAccount('acme+ci')];
    await addMember(ada, await aNamespace('acme'), 'admin');
    await addMember(robot, await aNamespace('acme'), 'creator');
    const tokens: string[] = [];
    const heard = await overhear(async () => {
      const answers: Answer[] = [];
      const call = async (method: string, path: string, options: Call = {}) => {
        answers.push(await sendAndSettle(method, path, options));
      };
      const people = [
        ['admin', env.ADMIN_PASSWORD],
        ['ada', ada.secret],
        ['acme+ci', robot.secret],
        ['$app', ada.secret],
      ] as const;
      const strangers = [
        ['admin', WRONG],
        ['ada', WRONG],
        ['ada', robot.secret],
        ['$app', WRONG],
        [TYPED_AS_A_NAME, WRONG],
      ] as const;
      const paths = [
        '/v2/',
        `/v2/auth?scope=repository:${name}:pull,push`,
        '/v2/auth?account=x',
        `/v2/${name}/manifests/v1`,
        `/v2/${name}/tags/list?n=x`,
        `/api/v1/repository/${name}/logs`,
        '/api/v1/organization/acme/aggregatelogs',
        '/api/v1/user/logs?performer=ada',
        '/api/v1/garbage/plan',
      ];
      for (const [username, password] of [...people, ...strangers]) {
        const authorization = basic(username, password);
        for (const path of paths) {
          await call('GET', path, { authorization });
          // The one answer that shows a secret is that to who asked for it.
          const last = answers.at(-1);
          if (path.startsWith('/v2/auth') && last?.status === 200) {
            tokens.push((JSON.parse(last.text) as { token: string }).token);
            answers.pop();
          }
        }
        await call('POST', `/v2/${name}/blobs/uploads/`, { authorization });
        const body = { body: image.bytes, headers: { 'Content-Type': image.mediaType } };
        await call('PUT', `/v2/${name}/manifests/v2`, { authorization, ...body });
        await call('PUT', `/v2/${name}/manifests/v3`, { authorization, body: '{' });
        await call('POST', `/api/v1/repository/${name}/garbage/collect`, { authorization });
      }
      for (const bearer of [
        ada.secret,
        robot.secret,
        ...tokens.slice(0, 3),
        WRONG.replaceAll(/\W/g, ''),
      ]) {
        const authorization = `Bearer ${bearer}`;
        await call('GET', `/v2/${name}/manifests/v1`, { authorization });
        await call('GET', '/api/v1/user/logs', { authorization });
        await call('DELETE', `/v2/${name}/manifests/nothing`, { authorization });
      }
      return answers;
    });
    expect(tokens.length).toBeGreaterThan(6);
    const secrets = {
      adminPassword: env.ADMIN_PASSWORD,
      signingKey: (JSON.parse(env.TOKEN_SIGNING_KEY) as { d: string }).d,
      legacyImageKey: env.LEGACY_IMAGE_KEY,
      ada: ada.secret,
      robot: robot.secret,
      wrong: WRONG,
      typedAsAName: TYPED_AS_A_NAME,
      basicOfAda: btoa(`ada:${ada.secret}`),
      ...Object.fromEntries(tokens.map((token, index) => [`token ${index}`, token])),
      ...Object.fromEntries(
        tokens.map((token, index) => [`signature ${index}`, token.split('.')[2] ?? token]),
      ),
    };
    const leaked = Object.entries(secrets).filter(([, secret]) =>
      formsOf(secret).some((form) => heard.includes(form)),
    );
    expect(leaked.map(([what]) => what)).toEqual([]);
    // It did listen: to the log, to the answers and to the tables.
    expect(heard).toMatch(/"event":"request"/);
    expect(heard).toContain('invalid user name or password');
    expect(heard).toContain('login_failure');
    expect(heard).toContain(ada.secret.slice(0, 12));
  });
});
