import { WorkerEntrypoint } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { RegistryService } from '../../src/index.ts';
import type { RegistryDataInterface } from '../../src/registry/interface.ts';
import { callRefusal } from '../../src/rpc/refusals.ts';
import type { RemoteRegistry } from '../../src/rpc/remote-registry.ts';
import { OF_NOTHING, type Stale, staleReferences } from '../support/absent.ts';
import { callAmong, costOf, logged, remote } from '../support/remote.ts';
import { codeOf } from '../support/stage.ts';
import { aFullRepository, openInside } from './world.ts';

const OF_NOTHING_REMOTE: {
  readonly [Name in keyof RegistryDataInterface]: readonly [
    call: (registry: RemoteRegistry, stale: Stale) => Promise<unknown>,
    given: unknown,
  ];
} = {
  ...OF_NOTHING,
  batchCreateManifestLabels: [
    (r, s) => r.batchCreateManifestLabels(s.manifest, [{ key: 'key', value: '', source: 'api' }]),
    null,
  ],
};

/** The names of what a caller can call: what stands on prototypes, up to the platform's own. */
function offeredNames(): readonly string[] {
  const names: string[] = [];
  let at: object = RegistryService.prototype;
  while (at !== WorkerEntrypoint.prototype) {
    names.push(...Object.getOwnPropertyNames(at).filter((name) => name !== 'constructor'));
    at = Object.getPrototypeOf(at) as object;
  }
  return names;
}

describe('RegistryService', () => {
  it('offers the 50 methods of the interface and nothing besides', ({ expect }) => {
    const names = Object.keys(OF_NOTHING).toSorted();
    expect(names).toHaveLength(50);
    expect(offeredNames().toSorted()).toEqual(names);
  });

  it('answers every method as inside, at the same cost, of what is not there', async ({
    expect,
  }) => {
    // The first row of a table costs one more, so each has one.
    await aFullRepository();
    const stale = await staleReferences();
    for (const [name, [call, given]] of Object.entries(OF_NOTHING_REMOTE)) {
      const { outcome, lines } = await logged(() => call(remote, stale));
      const logLine = callAmong(lines);
      const refusal = outcome.status === 'rejected' ? callRefusal(outcome.reason) : null;
      const answer = outcome.status === 'fulfilled' ? outcome.value : refusal?.code;
      expect.soft(answer, name).toEqual(given);
      expect.soft(logLine, name).toMatchObject({
        method: name,
        outcome: refusal === null ? 'done' : refusal.code,
      });

      const inside = openInside();
      const [insideCall] = OF_NOTHING[name as keyof RegistryDataInterface];
      const [insideOutcome] = await Promise.allSettled([insideCall(inside.registry, stale)]);
      expect.soft(codeOf(insideOutcome), name).toBe(refusal?.code ?? null);
      expect.soft(costOf(logLine), name).toEqual(inside.meter.usage);
    }
  });
});
