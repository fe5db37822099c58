import { describe, it } from 'vitest';

import { bearerChallenge, requestOrigin, unauthorized } from '../../../src/http/auth/challenge.ts';

describe('bearerChallenge', () => {
  it('names realm and service, quoted and without spaces', ({ expect }) => {
    expect(bearerChallenge({ scheme: 'https', host: 'berth.example.com' }, [])).toBe(
      'Bearer realm="https://berth.example.com/v2/auth",service="berth.example.com"',
    );
  });

  it('names the scope, with scheme and port of the request', ({ expect }) => {
    const origin = requestOrigin('http://localhost:8787/v2/acme/app/manifests/latest?x=1');
    expect(bearerChallenge(origin, [{ name: 'acme/app', actions: ['pull', 'push'] }])).toBe(
      'Bearer realm="http://localhost:8787/v2/auth",service="localhost:8787",' +
        'scope="repository:acme/app:pull,push"',
    );
  });

  it('separates two scopes by one space', ({ expect }) => {
    const scopes = [
      { name: 'acme/app', actions: ['pull', 'push'] },
      { name: 'acme/base', actions: ['pull'] },
    ] as const;
    expect(bearerChallenge({ scheme: 'https', host: 'h' }, scopes)).toBe(
      'Bearer realm="https://h/v2/auth",service="h",' +
        'scope="repository:acme/app:pull,push repository:acme/base:pull"',
    );
  });

  it('lets no host break out of the quotes', ({ expect }) => {
    expect(bearerChallenge({ scheme: 'https', host: 'a",scope="b\\' }, [])).toBe(
      'Bearer realm="https://a\\",scope=\\"b\\\\/v2/auth",service="a\\",scope=\\"b\\\\"',
    );
  });
});

describe('unauthorized', () => {
  it('is a 401 with the challenge', ({ expect }) => {
    expect(unauthorized({ scheme: 'https', host: 'h' })).toMatchObject({
      status: 401,
      entries: [{ code: 'UNAUTHORIZED', message: 'authentication required' }],
      headers: { 'WWW-Authenticate': 'Bearer realm="https://h/v2/auth",service="h"' },
    });
  });
});
