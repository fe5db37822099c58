import { afterEach, beforeEach, describe, it, vi } from 'vitest';

import { addMember, aNamespace, anAccount, giveRight } from '../../support/accounts.ts';
import { aName, pushImage, send, sendAndSettle } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, messageOf, mistakeOf } from '../../support/management.ts';
import { type ManagedAnswer, type ManagedCall, sendManaged } from '../../support/openapi.ts';
import { FakeSource } from '../../support/source.ts';
import { execute, select } from '../../support/stage.ts';

const SOURCE = 'registry.example.com/acme/app:v1';
const NONE = crypto.randomUUID();
const PASSWORD = 'a-Passw0rd of the source';

let source: FakeSource;
beforeEach(() => {
  source = new FakeSource();
  vi.stubGlobal('fetch', source.fetch);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** Begins an import and waits for what goes on behind the answer. */
async function begin(name: string, call: ManagedCall = {}): Promise<ManagedAnswer> {
  return sendManaged('POST', `/repository/${name}/import`, {
    json: { source: SOURCE },
    via: sendAndSettle,
    ...call,
  });
}

const idOf = ({ json }: ManagedAnswer) => (json as { import: string }).import;

const kindsOfLog = async () =>
  (await select('SELECT kind FROM audit_log ORDER BY id')).map(({ kind }) => kind);

describe('the import endpoints', () => {
  it('begin an import, tell how far it has come, and list it', async ({ expect }) => {
    const name = aName();
    const { index } = await source.addTwoArchitectures('v1');
    const begun = await begin(name);
    expect(begun.status).toBe(202);
    const path = `/repository/${name}/import`;
    const one = await sendManaged('GET', `${path}/${idOf(begun)}`);
    const view = one.json as Record<string, unknown>;
    expect(view).toMatchObject({ import: idOf(begun), source: SOURCE, state: 'done' });
    expect(view['bytes_done']).toBe(view['bytes_total']);
    expect(view).not.toHaveProperty('error');
    expect((await sendManaged('GET', path)).json).toEqual({ imports: [view] });
    const pulled = await send('GET', `/v2/${name}/manifests/v1`);
    expect([pulled.headers.get('Docker-Content-Digest'), pulled.bytes]).toEqual([
      index.digest,
      index.bytes,
    ]);
    expect(await kindsOfLog()).toEqual(['create_repo', 'start_import']);
  });

  it('cancel one that has not ended, once', async ({ expect }) => {
    const name = aName();
    source.instead = () => new Response(null, { status: 503 });
    const path = `/repository/${name}/import/${idOf(await begin(name))}`;
    expect((await sendManaged('GET', path)).json).toMatchObject({
      state: 'waiting',
      error: 'registry.example.com answers 503 for manifest v1',
    });
    expect((await sendManaged('DELETE', path, { via: sendAndSettle })).status).toBe(204);
    expect((await sendManaged('GET', path)).json).toMatchObject({ state: 'cancelled' });
    expect(errorOf(await sendManaged('DELETE', path))).toEqual([409, 'conflict']);
    expect(await kindsOfLog()).toEqual(['create_repo', 'start_import', 'cancel_import']);
  });

  it('name what is wrong with a request, which then makes no repository', async ({ expect }) => {
    const name = aName();
    const mistake = async (json: unknown) =>
      mistakeOf('POST', `/repository/${name}/import`, { json });
    expect(await mistake({})).toMatch(/^source: /);
    expect(await mistake({ source: 'acme/app:v1' })).toMatch(/^source: /);
    expect(await mistake({ source: 'http://registry.example.com/a:1' })).toMatch(/only https/);
    expect(await mistake({ source: '127.0.0.1/a:1' })).toMatch(/public internet/);
    expect(await mistake({ source: 'registry.example.com/a' })).toMatch(/^tags: /);
    expect(await mistake({ source: SOURCE, tags: ['-'] })).toMatch(/^tags: /);
    expect(await mistake({ source: SOURCE, tags: [] })).toMatch(/^tags: /);
    expect(await mistake({ source: SOURCE, tags: Array.from({ length: 51 }, String) })).toMatch(
      /^tags: /,
    );
    expect(await mistake({ source: SOURCE, password: 'x' })).toMatch(/^password: /);
    expect(await mistake({ source: SOURCE, platform: 'linux/amd64' })).toMatch(/platform/);
    expect(await select('SELECT * FROM repository')).toEqual([]);
    expect(source.asked).toEqual([]);
  });

  it('are for who may write there, and unknown is as forbidden', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const [reader, writer, stranger] = [
      await anAccount('ada'),
      await anAccount('ben'),
      await anAccount('eve'),
    ];
    await giveRight(reader, await firstRepositoryId(), 'read');
    await giveRight(writer, await firstRepositoryId(), 'write');
    const asked = async (who: ManagedCall, of = name) => [
      (await begin(of, who)).status,
      (await sendManaged('GET', `/repository/${of}/import`, who)).status,
      (await sendManaged('GET', `/repository/${of}/import/${NONE}`, who)).status,
      (await sendManaged('DELETE', `/repository/${of}/import/${NONE}`, who)).status,
    ];
    expect(await asked(as(writer))).toEqual([202, 200, 404, 404]);
    const unknown = `${name}-none`;
    for (const [who, status] of [
      [as(reader), 403],
      [as(stranger), 403],
      [{ authorization: null }, 401],
    ] as const) {
      const refused = [status, status, status, status];
      expect(await asked(who)).toEqual(refused);
      expect(await asked(who, unknown)).toEqual(refused);
    }
    expect(await asked({}, unknown)).toEqual([202, 200, 404, 404]);
  });

  it('make a repository for who may make one', async ({ expect }) => {
    const maker = await anAccount('ada');
    await addMember(maker, await aNamespace('acme'), 'creator');
    expect((await begin('acme/new', as(maker))).status).toBe(202);
    expect((await sendManaged('GET', '/repository/acme/new/import', as(maker))).status).toBe(200);
  });

  it('show nobody an import of another repository', async ({ expect }) => {
    const [name, other] = [aName(), aName()];
    const id = idOf(await begin(name));
    await pushImage(other, 'v1');
    for (const method of ['GET', 'DELETE']) {
      const answer = await sendManaged(method, `/repository/${other}/import/${id}`);
      expect(errorOf(answer)).toEqual([404, 'not_found']);
    }
  });

  it('begin none where the repository takes no writes', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    await execute('UPDATE repository SET state = 1');
    expect(errorOf(await begin(name))).toEqual([503, 'read_only']);
  });

  it('begin no more than so many at a time', async ({ expect }) => {
    const name = aName();
    source.instead = () => new Response(null, { status: 503 });
    for (let count = 0; count < 20; count += 1) {
      await begin(name);
    }
    const refused = await begin(name);
    expect(errorOf(refused)).toEqual([402, 'exceeds_license']);
    expect(messageOf(refused)).toContain('imports under way');
  });

  it('write a password of the source into no log, no answer and no table', async ({ expect }) => {
    const heard: string[] = [];
    for (const method of ['log', 'error', 'warn', 'info'] as const) {
      vi.spyOn(console, method).mockImplementation((...args: readonly unknown[]) => {
        heard.push(args.map(String).join(' '));
      });
    }
    const name = aName();
    source.login = { username: 'ada', password: PASSWORD };
    await source.addTwoArchitectures('v1');
    for (const instead of [
      () => null,
      () => new Response(PASSWORD, { status: 500 }),
      () => Promise.reject<Response>(new TypeError(`connection of ${PASSWORD} lost`)),
    ]) {
      source.instead = instead;
      const json = { source: SOURCE, username: 'ada', password: PASSWORD };
      const begun = await begin(name, { json });
      const read = await sendManaged('GET', `/repository/${name}/import/${idOf(begun)}`);
      heard.push(begun.text, read.text);
    }
    vi.restoreAllMocks();
    for (const table of ['repository_import', 'import_tag', 'import_item', 'audit_log']) {
      heard.push(JSON.stringify(await select(`SELECT * FROM ${table}`)));
    }
    const text = heard.join('\n');
    expect(text).toContain('start_import');
    for (const form of [PASSWORD, btoa(PASSWORD), btoa(`ada:${PASSWORD}`), 'let-me-in']) {
      expect(text).not.toContain(form);
    }
  });
});
