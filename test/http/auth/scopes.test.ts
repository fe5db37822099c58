import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import {
  ACTIONS,
  type Action,
  formatScope,
  parseScopedName,
  parseScopes,
  permits,
} from '../../../src/http/auth/scopes.ts';
import { OciError } from '../../../src/http/oci/errors.ts';
import { formatRepositoryName } from '../../../src/model/names.ts';

const HOST = 'localhost:8787';

const component = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
const name = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const actions = fc.subarray([...ACTIONS], { minLength: 1 });

function refusal(parameters: readonly string[], host = HOST): [number, string] | null {
  try {
    parseScopes(parameters, host);
    return null;
  } catch (error) {
    if (error instanceof OciError) {
      return [error.status, error.entries[0]?.code ?? ''];
    }
    throw error;
  }
}

function repositoryOf(scopedName: string): string | null {
  const parsed = parseScopedName(scopedName, 'berth.example.com');
  return parsed === null ? null : formatRepositoryName(parsed);
}

describe('parseScopes', () => {
  it('reads back every scope that is formatted', ({ expect }) => {
    fc.assert(
      fc.property(fc.array(fc.record({ name, actions }), { maxLength: 8 }), (scopes) => {
        const parsed = parseScopes(scopes.map(formatScope), HOST);
        expect(parsed.map((scope) => ({ name: scope.name, actions: scope.actions }))).toEqual(
          scopes,
        );
      }),
    );
  });

  it('takes scopes repeated and separated by spaces alike', ({ expect }) => {
    fc.assert(
      fc.property(fc.array(fc.record({ name, actions }), { maxLength: 8 }), (scopes) => {
        const texts = scopes.map(formatScope);
        expect(parseScopes([texts.join(' ')], HOST)).toEqual(parseScopes(texts, HOST));
      }),
    );
  });

  it('gives scopes or an OCI refusal for any text', ({ expect }) => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(fc.string(), fc.string()).map(([left, right]) => `repository:${left}:${right}`),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), (texts) => {
        expect([null, 400]).toContain(refusal(texts)?.[0] ?? null);
      }),
    );
  });

  it('repeats the name as asked, with the host in front', ({ expect }) => {
    expect(parseScopes(['repository:localhost:8787/acme/app:pull'], HOST)).toEqual([
      {
        name: 'localhost:8787/acme/app',
        repository: { namespace: 'acme', repository: 'app' },
        actions: ['pull'],
      },
    ]);
  });

  it('puts a name of one component into the library namespace, and keeps it as asked', ({
    expect,
  }) => {
    expect(parseScopes(['repository:alpine:pull'], HOST)).toEqual([
      {
        name: 'alpine',
        repository: { namespace: 'library', repository: 'alpine' },
        actions: ['pull'],
      },
    ]);
  });

  const accepted: readonly [string, readonly (readonly Action[])[]][] = [
    ['', []],
    ['  ', []],
    ['registry:catalog:*', []],
    ['repository:a/b:pull,push,delete', [['pull', 'push']]],
    ['repository:a/b:delete', [[]]],
    ['repository:a/b:push,pull,push', [['pull', 'push']]],
    ['repository:a/b:*', [['*']]],
    ['repository:a/b:pull  repository:c/d:push', [['pull'], ['push']]],
  ];
  for (const [scope, expected] of accepted) {
    it(`takes '${scope}'`, ({ expect }) => {
      expect(parseScopes([scope], HOST).map((parsed) => parsed.actions)).toEqual(expected);
    });
  }

  const refused: readonly [string, string][] = [
    ['repository', 'UNSUPPORTED'],
    ['repository:a/b', 'UNSUPPORTED'],
    ['repository:a/b:', 'UNSUPPORTED'],
    ['repository::pull', 'UNSUPPORTED'],
    ['repository:a/b:PULL', 'UNSUPPORTED'],
    ['repository:a/b:pull,', 'UNSUPPORTED'],
    ['repository:a/b:pull,admin', 'UNSUPPORTED'],
    ['repository(plugin):a/b:pull', 'UNSUPPORTED'],
    ['registry:catalog:pull', 'UNSUPPORTED'],
    ['repository:a/b:pull\nrepository:c/d:pull', 'UNSUPPORTED'],
    ['repository:A/b:pull', 'NAME_INVALID'],
    ['repository:../b:pull', 'NAME_INVALID'],
    ['repository:a//b:pull', 'NAME_INVALID'],
    ['repository:elsewhere:5000/a/b:pull', 'NAME_INVALID'],
    [`repository:${'a'.repeat(256)}:pull`, 'NAME_INVALID'],
  ];
  for (const [scope, code] of refused) {
    it(`refuses '${scope.slice(0, 60)}' with ${code}`, ({ expect }) => {
      expect(refusal([scope])).toEqual([400, code]);
    });
  }

  it('takes 32 scopes and refuses 33', ({ expect }) => {
    expect(refusal(Array.from({ length: 32 }, () => 'repository:a/b:pull'))).toBeNull();
    expect(refusal([Array.from({ length: 33 }, () => 'repository:a/b:pull').join(' ')])).toEqual([
      400,
      'UNSUPPORTED',
    ]);
  });
});

describe('parseScopedName', () => {
  it('takes only its own host for a host', ({ expect }) => {
    expect(repositoryOf('berth.example.com/a/b')).toBe('a/b');
    expect(repositoryOf('berth.example.com/a')).toBe('library/a');
    expect(repositoryOf('other.example.com/a')).toBe('other.example.com/a');
    expect(repositoryOf('berth.example.com')).toBe('library/berth.example.com');
    expect(repositoryOf('berth.example.com/')).toBeNull();
  });
});

describe('permits', () => {
  it('lets * be everything, and push no pull', ({ expect }) => {
    const table = ACTIONS.map((granted) => ACTIONS.map((wanted) => permits([granted], wanted)));
    expect(table).toEqual([
      [true, false, false],
      [false, true, false],
      [true, true, true],
    ]);
    expect(permits([], 'pull')).toBe(false);
  });
});
