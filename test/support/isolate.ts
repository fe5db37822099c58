import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { onTestFinished, vi } from 'vitest';

import { type Answer, readAnswer, requestOf } from './http.ts';

/**
 * The Worker as an isolate of its own runs it, where an operator set these. `send` reaches the same
 * isolate until the test ends, and whoever asks first starts it.
 */
export async function isolateWith(settings: Readonly<Record<string, unknown>>) {
  vi.resetModules();
  // Files take turns in one isolate: what was set here would be set for all that come after.
  onTestFinished(() => {
    vi.resetModules();
  });
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

/** The same beside the isolate that `send` reaches, which runs as it always does. */
export async function isolateBeside(settings: Readonly<Record<string, unknown>>) {
  const ask = await isolateWith(settings);
  await ask('GET', '/health/instance');
  vi.resetModules();
  return ask;
}
