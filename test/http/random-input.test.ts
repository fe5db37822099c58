import * as fc from 'fast-check';
import { describe, it, vi } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { encodeUtf8 } from '../../src/model/bytes.ts';
import {
  ADMINISTRATOR,
  errorsOf,
  ORIGIN,
  pushImage,
  send,
  startUpload,
  unannounced,
  uploadBlob,
} from '../support/http.ts';
import { findViolations } from '../support/invariants.ts';

const NAME = 'acme/app';
const ABSENT = `sha256:${'0'.repeat(64)}`;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const METHODS_WITHOUT_BODY = ['GET', 'HEAD'];

/** Text that comes through a URL or a header as some client might send it. */
const urlText = fc.oneof(
  fc.string({ maxLength: 20 }).map(encodeURIComponent),
  fc
    .string({ unit: 'binary', maxLength: 20 })
    .map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string({
    unit: fc.constantFrom('%', '0', '2', 'F', 'f', '.', '/', ':', '?', '&', '='),
    maxLength: 20,
  }),
  fc.constantFrom('%00', '%ff', '%c0%af', '..', '%2e%2e%2f', '$temp-x', "'", '"', '\\', '~', '*'),
);
const headerText = fc.stringMatching(/^[\x21-\x7e](?:[\x20-\x7e]{0,30}[\x21-\x7e])?$/);

/** What is really there, among what is not. */
interface Known {
  readonly blob: string;
  readonly manifest: string;
  readonly sessions: readonly string[];
}

const names = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      NAME,
      NAME,
      NAME,
      NAME,
      'alpine',
      'acme/none',
      'a/blobs/b',
      'x/tags/list',
    ),
  },
  { weight: 1, arbitrary: urlText },
);

const digests = ({ blob, manifest }: Known) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(blob, manifest, ABSENT) },
    { weight: 1, arbitrary: fc.constantFrom('sha256:x', ':', `sha512:${'0'.repeat(128)}`) },
    { weight: 1, arbitrary: urlText },
  );

const word = (text: string) => fc.constant(text);
const under = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(word('/v2'), names, ...parts).map((texts) => texts.join('/'));

function paths(known: Known): fc.Arbitrary<string> {
  const digest = digests(known);
  const reference = fc.oneof(fc.constantFrom('v1', 'latest', 'index', '.x'), digest);
  const session = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...known.sessions) },
    { weight: 1, arbitrary: urlText },
  );
  return fc.oneof(
    under(word('manifests'), reference),
    under(word('blobs'), digest),
    under(word('blobs'), word('uploads'), fc.constantFrom('', '/')),
    under(word('blobs'), word('uploads'), session),
    under(word('tags'), word('list')),
    fc.constantFrom('/v2/', '/v2/auth', '/health/endtoend', '/'),
    fc.array(urlText, { maxLength: 6 }).map((parts) => `/v2/${parts.join('/')}`),
  );
}

const queries = (known: Known) =>
  fc
    .dictionary(
      fc.constantFrom('digest', 'mount', 'from', 'n', 'last', 'scope', 'service', 'tag', 'x'),
      fc.oneof(
        digests(known),
        names,
        fc.constantFrom('0', '-1', '1e9', '99999999999999999999', `repository:${NAME}:pull`),
      ),
      { maxKeys: 3 },
    )
    .map((query) =>
      Object.entries(query)
        .map(([name, value]) => `${name}=${value}`)
        .join('&'),
    );

const numbers = fc.oneof(
  fc.nat(200).map(String),
  fc.constantFrom('-1', '9'.repeat(15), '9'.repeat(16)),
);
const ranges = fc.oneof(
  fc.tuple(numbers, numbers).map((ends) => ends.join('-')),
  headerText,
);

const headers = fc.record(
  {
    Range: fc.oneof(
      ranges,
      ranges.map((range) => `bytes=${range}`),
    ),
    'Content-Range': ranges,
    'Content-Type': fc.oneof(fc.constantFrom(...Object.values(MANIFEST_MEDIA_TYPES)), headerText),
    Accept: headerText,
    'Berth-Bookmark': headerText,
    'X-Request-Id': headerText,
    'If-None-Match': headerText,
  },
  { requiredKeys: [] },
);

/** The administrator's, mostly: others do not get far. */
const authorizations = fc.oneof(
  { weight: 6, arbitrary: fc.constant(ADMINISTRATOR) },
  { weight: 1, arbitrary: headerText },
  { weight: 1, arbitrary: headerText.map((text) => `Bearer ${text}`) },
  { weight: 1, arbitrary: headerText.map((text) => `Basic ${btoa(text)}`) },
);

const descriptors = fc.record(
  {
    mediaType: fc.oneof(headerText, fc.constantFrom(...Object.values(MANIFEST_MEDIA_TYPES))),
    size: fc.oneof(fc.integer(), fc.double()),
    digest: fc.oneof(fc.constant(ABSENT), fc.string()),
    urls: fc.array(fc.string()),
  },
  { requiredKeys: [] },
);

const bodies = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => new Uint8Array(bytes)),
  fc.json({ maxDepth: 4 }),
  fc
    .record(
      {
        schemaVersion: fc.constantFrom(1, 2, '2', null),
        mediaType: fc.oneof(fc.constantFrom(...Object.values(MANIFEST_MEDIA_TYPES)), fc.string()),
        config: fc.oneof(descriptors, fc.jsonValue({ maxDepth: 1 })),
        layers: fc.oneof(fc.array(descriptors, { maxLength: 4 }), fc.jsonValue({ maxDepth: 1 })),
        manifests: fc.oneof(fc.array(descriptors, { maxLength: 4 }), fc.jsonValue({ maxDepth: 1 })),
        subject: descriptors,
        annotations: fc.jsonValue({ maxDepth: 2 }),
      },
      { requiredKeys: ['schemaVersion'] },
    )
    .map((content) => JSON.stringify(content)),
);

/** Whether the path leads there once its dots are resolved. */
function isUnderV2(path: string): boolean {
  return new URL(path, ORIGIN).pathname.startsWith('/v2/');
}

async function aWorld(): Promise<Known> {
  const blob = await uploadBlob(NAME);
  const image = await pushImage(NAME, 'v1');
  const sessions: string[] = [];
  for (let count = 0; count < 10; count += 1) {
    const session = await startUpload(NAME);
    sessions.push(session.slice(session.lastIndexOf('/') + 1));
  }
  return { blob, manifest: image.digest, sessions };
}

describe('no request whatever', () => {
  it(
    'is answered with a failure, and none breaks what must hold',
    { timeout: 60_000 },
    async ({ expect }) => {
      const known = await aWorld();
      // Thousands of lines about requests tell nothing here.
      vi.spyOn(console, 'log').mockImplementation(() => undefined);
      const requests = fc.record({
        method: fc.constantFrom(...METHODS),
        path: paths(known),
        query: queries(known),
        headers,
        authorization: authorizations,
        body: bodies,
        isStreamed: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(requests, async (request) => {
          const { method, path, query, headers, authorization, body, isStreamed } = request;
          const bytes = typeof body === 'string' ? encodeUtf8(body) : body;
          const sent = METHODS_WITHOUT_BODY.includes(method) ? null : bytes;
          const answer = await send(method, `${path}${query === '' ? '' : '?'}${query}`, {
            headers,
            authorization,
            body: sent !== null && isStreamed ? unannounced(sent) : sent,
          });
          expect(answer.status).toBeLessThan(500);
          expect(answer.status).toBeGreaterThanOrEqual(200);
          const isJson = answer.headers.get('Content-Type') === 'application/json';
          if (answer.status >= 400 && method !== 'HEAD' && isJson && isUnderV2(path)) {
            expect(errorsOf(answer).length).toBeGreaterThan(0);
          }
        }),
        { numRuns: 400 },
      );
      vi.restoreAllMocks();
      expect(await findViolations()).toEqual([]);
    },
  );
});
