import { beforeEach, describe, it } from 'vitest';

import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { JSON_DEPTH_MAX } from '../../../src/model/limits.ts';
import { pushImage } from '../../support/http.ts';
import { errorOf, messageOf, mistakeOf } from '../../support/management.ts';
import { type ManagedCall, sendManaged } from '../../support/openapi.ts';

const PATH = '/repository/acme/app';

beforeEach(async () => {
  await pushImage('acme/app', 'v1');
});

function bodyOf(body: BodyInit): ManagedCall {
  return { headers: { 'Content-Type': 'application/json' }, body };
}

const put = async (body: BodyInit): Promise<string> => mistakeOf('PUT', PATH, bodyOf(body));

/** The text with one character as the byte that it stands for, whatever UTF-8 says of that. */
function inLatin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A report of a scanner with objects nested in what it says freely, in all so deep. */
function reportOf(depth: number): string {
  const before = '{"status":"scanned","data":{"Layer":{"Features":[{"Name":"a","Vulnerabilities":[';
  const around = 7;
  const inner = depth - around;
  return (
    `${before}{"Severity":"High","Name":"b","Metadata":${'{"a":'.repeat(inner)}1` +
    `${'}'.repeat(inner)}}]}]}}}`
  );
}

describe('a body', () => {
  it('is UTF-8, and JSON', async ({ expect }) => {
    expect(await put(inLatin1('{"description":"\xff"}'))).toBe('body: is no UTF-8');
    // Half a surrogate pair by its three bytes.
    expect(await put(inLatin1('{"description":"\xed\xa0\x80"}'))).toBe('body: is no UTF-8');
    expect(await put(inLatin1('{"description":"a\x00"}'))).toMatch(/^body: /);
    for (const text of ['   ', '\uFEFF', '{"description":NaN}', "{'description':'a'}", '[']) {
      expect(await put(text)).toMatch(/^body: /);
    }
  });

  it('has names that no object has by itself among its unknown ones', async ({ expect }) => {
    for (const name of ['__proto__', 'constructor', 'toString', '', '\\ud800']) {
      expect(await put(`{"description":"a","${name}":{"description":"b"}}`)).toMatch(
        /: there is no such field here$/,
      );
    }
  });

  it('has 1 MiB at most', async ({ expect }) => {
    const answer = await sendManaged('PUT', PATH, bodyOf(`"${'x'.repeat(2 ** 20)}"`));
    expect(errorOf(answer)).toEqual([413, 'payload_too_large']);
  });

  it('is not nested deeper than can be written', async ({ expect }) => {
    const { digest } = await pushImage('acme/app', 'v2');
    const at = `${PATH}/manifest/${digest}/security`;
    for (const depth of [JSON_DEPTH_MAX + 1, 50_000]) {
      expect(await mistakeOf('PUT', at, bodyOf(reportOf(depth)))).toMatch(/^data: .*nested/);
    }
    const taken = await sendManaged('PUT', at, bodyOf(reportOf(JSON_DEPTH_MAX)));
    expect(taken.status).toBe(200);
    for (const text of ['['.repeat(100_000), '['.repeat(100_000) + ']'.repeat(100_000)]) {
      expect(await put(text)).toMatch(/^body: /);
    }
    expect(await put(`{"description":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_001)}`)).toMatch(
      /^description: /,
    );
  });

  it('may be there, but say nothing, where none is taken', async ({ expect }) => {
    const path = `${PATH}/garbage/collect`;
    for (const text of ['', '{}', ' { } ']) {
      expect((await sendManaged('POST', path, bodyOf(text))).status).toBe(200);
    }
    for (const text of ['{"budget":1}', '[]', 'null', 'budget=1', '{']) {
      expect(await mistakeOf('POST', path, bodyOf(text))).toBe('body: this endpoint takes none');
    }
  });
});

describe('a refusal', () => {
  it('quotes what was sent only so far, and as text', async ({ expect }) => {
    const long = 'x'.repeat(500_000);
    const answer = await sendManaged('PUT', `${PATH}/tag/v1`, { json: { manifest_digest: long } });
    expect(messageOf(answer)).toMatch(/^manifest_digest: 'x{900,}…$/);
    expect(encodeUtf8(answer.text).byteLength).toBeLessThan(3000);
    expect(await mistakeOf('PUT', PATH, bodyOf('{"\\ud800":1,"description":""}'))).toMatch(
      /^\uFFFD: /,
    );
  });
});

describe('a path', () => {
  it('that is no text, or has dots for names, is that of nothing', async ({ expect }) => {
    for (const [path, status] of [
      [`${PATH}%00`, 400],
      ['/repository/acme/%ff%fe', 400],
      ['/repository/acme/%', 400],
      ['/repository/acme/%zz', 400],
      [`${PATH}//tag`, 400],
      [`${PATH}/tag/..%2f`, 400],
      [`${PATH}/manifest/sha256:%00/labels`, 400],
      ['/organization/%00', 400],
      ['/organization/__proto__', 400],
      ['/organization/acme/robots/%00', 404],
      ['/error/__proto__', 404],
      ['/error/constructor', 404],
    ] as const) {
      expect([path, (await sendManaged('GET', path)).status]).toEqual([path, status]);
    }
  });
});
