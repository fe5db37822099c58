import { exports } from 'cloudflare:workers';
import { vi } from 'vitest';

import type { Usage } from '../../src/model/usage.ts';
import type { RegistryDataInterface } from '../../src/registry/interface.ts';
import type { RemoteRegistry } from '../../src/rpc/remote-registry.ts';
import { Meter } from '../../src/storage/meter.ts';

/**
 * The registry as another Worker has it: over the runtime's own service binding. The platform's type
 * of a binding rewrites every type that crosses, and gives up at JSON.
 */
export const remote = exports.RegistryService as unknown as RemoteRegistry;

/** What the log says of a call. */
export interface LoggedCall extends Usage {
  readonly event: 'call';
  readonly callId: string;
  readonly method: keyof RegistryDataInterface;
  readonly outcome: string;
  readonly durationMs: number;
}

/** Runs what calls the registry, and gives what came of it and the lines that were logged. */
export async function logged<Result>(
  run: () => Promise<Result>,
): Promise<{ readonly outcome: PromiseSettledResult<Result>; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const collect = (line: unknown) => void lines.push(String(line));
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(collect),
    vi.spyOn(console, 'error').mockImplementation(collect),
  ];
  try {
    const [outcome] = await Promise.allSettled([run()]);
    return { outcome, lines };
  } finally {
    spies.forEach((spy) => {
      spy.mockRestore();
    });
  }
}

/** What a call threw. */
export async function caught(run: () => Promise<unknown>): Promise<Error> {
  const { outcome } = await logged(run);
  if (outcome.status === 'fulfilled' || !(outcome.reason instanceof Error)) {
    throw new Error('nothing was thrown');
  }
  return outcome.reason;
}

/** The one call among lines of the log. */
export function callAmong(lines: readonly string[]): LoggedCall {
  const calls = lines
    .map((line) => JSON.parse(line) as LoggedCall)
    .filter(({ event }) => event === 'call');
  const [call] = calls;
  if (call === undefined || calls.length > 1) {
    throw new Error(`there are ${calls.length} calls in the log`);
  }
  return call;
}

/** What a call asked of the stores. */
export function costOf(call: Usage): Usage {
  const { usage } = new Meter();
  for (const what of Object.keys(usage) as (keyof Usage)[]) {
    usage[what] = call[what];
  }
  return usage;
}
