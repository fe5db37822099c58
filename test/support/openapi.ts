import { Validator } from '@cfworker/json-schema';

import { type Answer, type Call, send } from './http.ts';

/** The part of the management API's document that answers are held against. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}

/** An answer of the management API with its body as JSON; undefined: it has none. */
export interface ManagedAnswer extends Answer {
  readonly json: unknown;
}

export interface ManagedCall extends Call {
  /** What is sent as JSON. */
  readonly json?: unknown;
  /** Another isolate than that of the tests, with settings of its own. */
  readonly via?: typeof send;
}

const BASE = '/api/v1';
let document: ApiDocument | undefined;

/**
 * Sends a request to the management API, `path` without `/api/v1`, and holds the answer against the
 * API's own document: throws for a route, a status, a field or a type that it does not have.
 */
export async function sendManaged(
  method: string,
  path: string,
  { json, via = send, ...call }: ManagedCall = {},
): Promise<ManagedAnswer> {
  document ??= JSON.parse((await send('GET', `${BASE}/openapi.json`)).text) as ApiDocument;
  const sent =
    json === undefined
      ? call
      : {
          ...call,
          headers: { 'Content-Type': 'application/json', ...call.headers },
          body: JSON.stringify(json),
        };
  const answer = await via(method, `${BASE}${path}`, sent);
  const problem = problemOf(document, { method, path }, answer);
  if (problem !== null) {
    throw new Error(`${method} ${path} answered ${answer.status} ${answer.text}: ${problem}`);
  }
  return { ...answer, json: answer.text === '' ? undefined : JSON.parse(answer.text) };
}

/** What the document does not have of an answer; null: it is as documented. */
export function problemOf(
  { paths, components }: ApiDocument,
  { method, path }: { readonly method: string; readonly path: string },
  { status, headers, text }: Pick<Answer, 'status' | 'headers' | 'text'>,
): string | null {
  const [pathname = ''] = path.split('?');
  const operation = operationAt(paths, pathname, method.toLowerCase());
  if (operation === undefined) {
    return 'no such route is documented';
  }
  const response = operation.responses[status];
  if (response === undefined) {
    return `of the documented statuses ${Object.keys(operation.responses).join(', ')} it is none`;
  }
  const schema = response.content?.['application/json']?.schema;
  if (schema === undefined) {
    return text === '' ? null : 'no body is documented';
  }
  if (!/^application\/json\b/.test(headers.get('Content-Type') ?? '')) {
    return 'the body is not JSON';
  }
  const validator = new Validator({ ...schema, components }, '2020-12', false);
  const { valid, errors } = validator.validate(JSON.parse(text));
  return valid
    ? null
    : errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`).join('; ');
}

/** The operation of the narrowest template that a path is one of, as the router chooses. */
function operationAt(
  paths: ApiDocument['paths'],
  path: string,
  method: string,
): Operation | undefined {
  const bare = path.replace(/\/$/, '');
  const [template] = Object.keys(paths)
    .filter((candidate) => paths[candidate]?.[method] && patternOf(candidate).test(bare))
    .toSorted((one, other) => literalLength(other) - literalLength(one));
  return template === undefined ? undefined : paths[template]?.[method];
}

function patternOf(template: string): RegExp {
  const source = template.replaceAll('{repository}', '[^/]+/.+').replaceAll(/\{[^}]+\}/g, '[^/]+');
  return new RegExp(`^${source}$`);
}

function literalLength(template: string): number {
  return template.replaceAll(/\{[^}]+\}/g, '').length;
}
