import { describe, it } from 'vitest';

import { aName, pushImage, send } from '../../support/http.ts';
import { isolateWith } from '../../support/isolate.ts';
import { type ApiDocument, problemOf, sendManaged } from '../../support/openapi.ts';

/** Fields that hold what has a form: digests, names, times, ids, secrets and cursors. */
const FORMED =
  /digest$|media_type$|^(tag|tag_name|repository|namespace|uuid|next_page|token|token_code|tagPattern|created|ended|expiration|last_modified|datetime|until)$/;

interface TextField {
  readonly name: string;
  readonly schema: object;
}

/** The fields of all schemas in a part of the document that are texts, be it in a list or null. */
function textsIn(part: unknown, name: string): readonly TextField[] {
  if (typeof part !== 'object' || part === null) {
    return [];
  }
  const { type, properties } = part as { readonly type?: unknown; readonly properties?: object };
  const isText = [type].flat().includes('string');
  return [
    ...(isText && name !== '' ? [{ name, schema: part }] : []),
    ...Object.entries(properties ?? {}).flatMap(([field, schema]) => textsIn(schema, field)),
    ...Object.entries(part).flatMap(([key, below]) =>
      key === 'properties' ? [] : textsIn(below, ''),
    ),
  ];
}

describe('the document of the management API', () => {
  it('has every endpoint by its path, and says which errors it may give', async ({ expect }) => {
    const answer = await send('GET', '/api/v1/openapi.json');
    const { openapi, paths } = JSON.parse(answer.text) as {
      openapi: string;
      paths: Record<string, Record<string, { responses: object }>>;
    };
    expect(openapi).toBe('3.1.0');
    const why = paths['/repository/{repository}/manifest/{digest}/why']?.['get'];
    expect(Object.keys(why?.responses ?? {}).join()).toBe(
      '200,400,401,403,404,413,414,415,429,500,503',
    );
    expect(Object.keys(paths).filter((path) => path.includes('.+'))).toEqual([]);
  });

  it('shows the form of every text that has one', async ({ expect }) => {
    const document: unknown = JSON.parse((await send('GET', '/api/v1/openapi.json')).text);
    const texts = textsIn(document, '').filter(({ name }) => FORMED.test(name));
    expect(texts.length).toBeGreaterThan(50);
    const bare = texts.filter(
      ({ schema }) =>
        !['example', 'pattern', 'format', 'enum', 'const'].some((key) => key in schema),
    );
    expect(bare.map(({ name }) => name)).toEqual([]);
  });

  it('is where the tools of Quay look for one', async ({ expect }) => {
    const [document, discovered] = await Promise.all(
      ['openapi.json', 'discovery'].map((path) => send('GET', `/api/v1/${path}`)),
    );
    expect(discovered?.status).toBe(200);
    expect(discovered?.text).toBe(document?.text);
  });

  it('is where the types of errors are described', async ({ expect }) => {
    const known = await sendManaged('GET', '/error/not_found');
    expect(known.json).toMatchObject({ title: 'not_found' });
    const unknown = await sendManaged('GET', '/error/constructor');
    expect([unknown.status, unknown.json]).toEqual([
      404,
      expect.objectContaining({ error_type: 'not_found' }),
    ]);
  });
});

describe('the capabilities of the registry', () => {
  it.for([true, false])(
    'say whether indexes may be sparse: %s',
    async (sparseIndex, { expect }) => {
      const via = await isolateWith({ SPARSE_INDEX: `${sparseIndex}` });
      const call = { authorization: null, via };
      expect((await sendManaged('GET', '/registry/capabilities', call)).json).toEqual({
        sparse_manifests: {
          supported: sparseIndex,
          required_architectures: [],
          optional_architectures_allowed: sparseIndex,
        },
        mirror_architectures: [],
      });
    },
  );
});

describe('the check that every test of the management API makes', () => {
  it('finds what the document does not have', async ({ expect }) => {
    const document = JSON.parse((await send('GET', '/api/v1/openapi.json')).text) as ApiDocument;
    const name = aName();
    await pushImage(name, 'v1');
    const asked = { method: 'GET', path: `/repository/${name}/tag/` };
    const answer = await sendManaged('GET', asked.path);
    const { tags, ...page } = answer.json as { tags: readonly object[] };
    const saying = (json: unknown) => ({ ...answer, text: JSON.stringify(json) });
    const check = (changed: typeof answer, at = asked) => problemOf(document, at, changed);
    expect(check(answer)).toBeNull();
    expect(check({ ...answer, status: 418 })).toMatch(/statuses 200/);
    expect(check(saying({ ...page, tags, colour: 'red' }))).toMatch(/colour/);
    expect(check(saying({ ...page, tags: [{ ...tags[0], colour: 'red' }] }))).toMatch(/colour/);
    expect(check(saying({ ...page, tags: [{ ...tags[0], size: 'large' }] }))).toMatch(/size/);
    expect(check(saying(page))).toMatch(/tags/);
    expect(check({ ...answer, headers: new Headers() })).toMatch(/not JSON/);
    expect(check(answer, { ...asked, path: '/repositories' })).toMatch(/route/);
    expect(check(answer, { ...asked, method: 'PATCH' })).toMatch(/route/);
    const deleted = { method: 'DELETE', path: `/repository/${name}/tag/v1` };
    expect(check({ ...answer, status: 204 }, deleted)).toMatch(/no body/);
  });
});
