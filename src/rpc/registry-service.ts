import { WorkerEntrypoint } from 'cloudflare:workers';
import type * as z from 'zod';

import { ConfigurationError } from '../configuration-error.ts';
import { describeError, log } from '../log.ts';
import { isRegistryError, StoreUnavailable } from '../model/errors.ts';
import type { Usage } from '../model/usage.ts';
import type { RegistryDataInterface } from '../registry/interface.ts';
import { ARGUMENTS, METHOD_NAMES } from './arguments.ts';
import { CallError } from './refusals.ts';
import type { RemoteRegistry } from './remote-registry.ts';

/** The registry as one call has it, and what it asked of the stores so far. */
export interface CallScope {
  readonly registry: RegistryDataInterface;
  readonly usage: Readonly<Usage>;
}

export type OpenCallScope = (env: Env, context: Pick<ExecutionContext, 'waitUntil'>) => CallScope;

type MethodName = keyof RegistryDataInterface;

/**
 * The class whose methods another Worker calls over a service binding. Those are the methods of the
 * interface, no more and no less: the platform offers what a class's prototype has, so each row of
 * {@link ARGUMENTS} becomes a method of it.
 *
 * Whoever has the binding may do everything: there are no accounts here.
 */
export function registryService(openScope: OpenCallScope) {
  class Service extends WorkerEntrypoint<Env> {
    static {
      for (const name of METHOD_NAMES) {
        Object.defineProperty(this.prototype, name, {
          value(this: Service, ...given: unknown[]): Promise<unknown> {
            return answerCall(name, given, () => openScope(this.env, this.ctx));
          },
        });
      }
    }
  }
  return Service as new (
    ...given: ConstructorParameters<typeof Service>
  ) => Service & RemoteRegistry;
}

/** Makes a call and logs a line for it with its cost. What is thrown is fit for the caller. */
async function answerCall(
  method: MethodName,
  given: readonly unknown[],
  open: () => CallScope,
): Promise<unknown> {
  const callId = crypto.randomUUID();
  const startedMs = Date.now();
  let scope: CallScope | undefined;
  let outcome = 'done';
  try {
    scope = open();
    return await call(scope.registry, method, given);
  } catch (error) {
    const thrown = presentable(error, callId);
    outcome = thrown.code;
    throw thrown;
  } finally {
    const durationMs = Date.now() - startedMs;
    log('info', { event: 'call', callId, method, outcome, durationMs, ...scope?.usage });
  }
}

/** Errors: InvalidArgument, and those of the method. */
async function call(
  registry: RegistryDataInterface,
  method: MethodName,
  given: readonly unknown[],
): Promise<unknown> {
  const row: z.ZodType<readonly unknown[]> = ARGUMENTS[method];
  const taken = await row.safeParseAsync(given);
  if (!taken.success) {
    const [issue] = taken.error.issues;
    const [position, ...path] = issue?.path ?? [];
    const place =
      position === undefined ? '' : `argument ${[Number(position) + 1, ...path].join('.')}: `;
    const reason = `${place}${issue?.message ?? 'not valid'}`;
    throw new CallError('InvalidArgument', { method, reason }, `${method}: ${reason}`);
  }
  // The row is of this method, and so gives its parameters.
  const run = registry[method] as (...taken: readonly unknown[]) => Promise<unknown>;
  return run(...taken.data);
}

/** What a caller may learn of an error. Everything unexpected is for the log only. */
function presentable(error: unknown, callId: string): Error & { readonly code: string } {
  if (isRegistryError(error) || error instanceof CallError) {
    return error;
  }
  log('error', { event: 'error', callId, error: describeError(error) });
  if (error instanceof ConfigurationError) {
    return new CallError('NotConfigured', { setting: error.setting }, error.message);
  }
  if (error instanceof StoreUnavailable) {
    return new CallError(
      'Unavailable',
      { callId },
      `a store does not answer now, try again; the log has more under call ${callId}`,
    );
  }
  return new CallError(
    'Unexpected',
    { callId },
    `something went wrong here; the log has more under call ${callId}`,
  );
}
