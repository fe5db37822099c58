import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { vi } from 'vitest';

import { createApp } from '../../../src/http/app.ts';
import type { AuthDeps } from '../../../src/http/auth/dependencies.ts';
import { anAccount, giveRight } from '../../support/accounts.ts';
import { TestClock } from '../../support/clock.ts';
import { type Answer, type Call, readAnswer, requestOf } from '../../support/http.ts';
import { FakeIssuer } from '../../support/issuer.ts';
import { openStage } from '../../support/stage.ts';
import { authDeps, basic } from './auth-fixture.ts';

/** What requests of these tests call the registry. */
export const REGISTRY = 'registry.test';
export const MAIN = 'repo:acme/app:ref:refs/heads/main';
export const EXCHANGE = '/oauth2/federation/robot/token';

/** Each registry has an issuer of its own: KV keeps the keys of those before. */
let issuers = 0;

/**
 * The registry's app over the real stores, an issuer that it allows, a repository with an image
 * under `latest`, and the robot `acme+ci`, which may read it and trusts the main branch.
 */
export async function aFederatedRegistry(auth: Partial<AuthDeps> = {}) {
  const clock = new TestClock();
  issuers += 1;
  const issuer = new FakeIssuer(`https://issuer-${issuers}.example.com`);
  await issuer.addKey('rsa', 'RS256');
  await issuer.addKey('ec', 'ES256');
  const stage = await openStage({
    clock,
    settings: { oidcIssuers: [issuer.url], pullReportIntervalSec: 0 },
    fetch: issuer.fetch,
  });
  await stage.push('latest', await stage.image());
  const robot = await anAccount('acme+ci');
  await giveRight(robot, stage.repository.id, 'read');
  await stage.operations.replaceTrustRules(robot.id, [{ issuer: issuer.url, subject: MAIN }]);
  const deps = { ...authDeps({ clock }), ...auth };
  const app = createApp({
    auth: deps,
    openScope: () => ({
      registry: stage.registry,
      operations: stage.operations,
      settings: stage.deps.settings,
      usage: stage.meter.usage,
      bookmark: () => null,
    }),
  });
  const nowSec = () => clock.nowMs() / 1000;
  /** What a job on the main branch gets from the issuer. */
  const claims = (more: object = {}) => ({
    aud: REGISTRY,
    sub: MAIN,
    iat: nowSec(),
    nbf: nowSec(),
    exp: nowSec() + 300,
    jti: crypto.randomUUID(),
    ...more,
  });
  const ask = async (method: string, path: string, call: Call): Promise<Answer> => {
    const context = createExecutionContext();
    const answer = await readAnswer(await app.fetch(requestOf(method, path, call), env, context));
    await waitOnExecutionContext(context);
    return answer;
  };
  return {
    ...stage,
    clock,
    deps,
    issuer,
    robot,
    ask,
    claims,
    nowSec,
    repositoryPath: `/v2/${stage.repository.namespaceName}/${stage.repository.name}`,
    exchange: (token: string, robotName = 'acme+ci') =>
      ask('GET', EXCHANGE, { authorization: basic(robotName, token) }),
    /** A password that the robot got for the token of a job. */
    password: async (): Promise<string> => {
      const answer = await ask('GET', EXCHANGE, {
        authorization: basic('acme+ci', await issuer.token(claims())),
      });
      return (JSON.parse(answer.text) as { token: string }).token;
    },
  };
}

/** What is logged about federation while something runs; and that no line holds these secrets. */
export async function federationLog(
  run: () => Promise<unknown>,
): Promise<readonly Record<string, unknown>[]> {
  const lines: string[] = [];
  const spies = (['log', 'error'] as const).map((stream) =>
    vi.spyOn(console, stream).mockImplementation((line: unknown) => {
      lines.push(String(line));
    }),
  );
  try {
    await run();
  } finally {
    for (const spy of spies) {
      spy.mockRestore();
    }
  }
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === 'federation' || event === 'error');
}
