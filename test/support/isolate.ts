import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { vi } from 'vitest';

import { type Answer, readAnswer, requestOf } from './http.ts';

/**
 * The Worker as an isolate of its own runs it, where an operator set these. `send` reaches the same
 * isolate from then on, and whoever asks first starts it. Whoever uses it forgets the modules when a
 * test ends: `afterEach(() => vi.resetModules())`.
 */
export async function isolateWith(settings: Readonly<Record<string, unknown>>) {
  vi.resetModules();
  const { default: worker } = await import('../../src/index.ts');
  const environment = { ...env, ...settings } as Env;
  return async (...parameters: Parameters<typeof requestOf>): Promise<Answer> => {
    const context = createExecutionContext();
    const request = requestOf(...parameters);
    const answer = await readAnswer(await worker.fetch(request, environment, context));
    await waitOnExecutionContext(context);
    return answer;
  };
}
