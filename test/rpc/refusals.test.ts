import { createExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { RegistryService } from '../../src/index.ts';
import type { RegistryDataInterface } from '../../src/registry/interface.ts';
import { callRefusal } from '../../src/rpc/refusals.ts';
import type { RemoteRegistry } from '../../src/rpc/remote-registry.ts';
import { OF_NOTHING, type Stale } from '../support/absent.ts';
import { failing } from '../support/faults.ts';
import { gated } from '../support/gate.ts';
import { callAmong, caught, logged, remote } from '../support/remote.ts';
import { codeOf, execute } from '../support/stage.ts';
import { aFullRepository, contentOf } from './world.ts';

/** Neither a text, a whole number, a flag, a list, an object nor a date. */
const NOTHING_THAT_FITS = 1.5;

/** The method of a name, for calls that the types do not allow. */
function untyped(
  name: string,
  registry: RemoteRegistry = remote,
): (...given: readonly unknown[]) => Promise<unknown> {
  const calls = registry as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
  return async (...given) => calls[name]?.(...given);
}

/** What a call is made with, of every method. */
async function argumentsOf(
  name: keyof RegistryDataInterface,
  world: Awaited<ReturnType<typeof aFullRepository>>,
): Promise<readonly unknown[]> {
  if (name === 'batchCreateManifestLabels') {
    return [world.tag.manifest, [{ key: 'key', value: '', source: 'api' }]];
  }
  let given: readonly unknown[] = [];
  const recorder = new Proxy({} as RegistryDataInterface, {
    get:
      () =>
      (...args: unknown[]) => {
        given = args;
        return Promise.resolve(null);
      },
  });
  const [call] = OF_NOTHING[name];
  const { manifest } = world.tag;
  await call(recorder, { ...world, manifest, dockerImageId: world.imageId } as unknown as Stale);
  const { bytes, mediaType, digest } = world.parsed;
  return given.map((argument) =>
    argument === world.parsed ? { bytes, mediaType, digest } : argument,
  );
}

/** The arguments with one of them, or one field of one, replaced by what does not fit. */
function* spoilt(given: readonly unknown[]): Generator<readonly [string, readonly unknown[]]> {
  for (const [index, argument] of given.entries()) {
    yield [`${index + 1}`, given.with(index, NOTHING_THAT_FITS)];
    const isPlain = argument !== null && Object.getPrototypeOf(argument) === Object.prototype;
    for (const field of isPlain ? Object.keys(argument as object) : []) {
      const broken = { ...(argument as object), [field]: NOTHING_THAT_FITS };
      yield [`${index + 1}.${field}`, given.with(index, broken)];
    }
  }
}

describe('what is refused over the binding', () => {
  it('reaches the caller with its code, its detail and its sentence', async ({ expect }) => {
    const { repository } = await aFullRepository();
    const error = await caught(() =>
      remote.getRepoTag(repository, 'never', { raiseOnError: true }),
    );
    expect(callRefusal(error)).toEqual({
      code: 'TagNotFound',
      detail: { tagName: 'never' },
      message: "tag 'never' not found",
    });
    expect(error.stack).not.toContain('/src/');
  });

  it('is told from errors of the caller and of the call', async ({ expect }) => {
    expect(callRefusal(new Error('mine'))).toBeNull();
    expect(
      callRefusal(Object.assign(new Error('mine'), { code: 'Conflict', detail: {} })),
    ).toBeNull();
    expect(callRefusal({ code: 'Conflict', detail: {} })).toBeNull();
    expect(callRefusal(await caught(() => untyped('noSuchMethod')()))).toBeNull();
  });

  it('is every argument of a wrong type, before the stores are asked', async ({ expect }) => {
    const world = await aFullRepository();
    const before = await contentOf(world);
    const service = new RegistryService(createExecutionContext(), env);
    let refused = 0;
    for (const name of Object.keys(OF_NOTHING) as (keyof RegistryDataInterface)[]) {
      const given = await argumentsOf(name, world);
      const cases = [...spoilt(given), ['too many', [...given, null, null, null, null]] as const];
      for (const [place, broken] of cases) {
        const { outcome, lines } = await logged(() => untyped(name, service)(...broken));
        expect.soft(codeOf(outcome), `${name} ${place}`).toBe('InvalidArgument');
        expect.soft(callAmong(lines).d1Statements, `${name} ${place}`).toBe(0);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(300);
    expect(await contentOf(world)).toEqual(before);
  });

  it('is said by method, position and field', async ({ expect }) => {
    const { repository, tag, parsed } = await aFullRepository();
    const reasons: unknown[] = [];
    const calls: readonly (readonly [keyof RemoteRegistry, readonly unknown[]])[] = [
      ['getRepoTag', [repository]],
      ['getRepoTag', [{ ...repository, id: '1' }, 'latest']],
      ['getRepoTag', [repository, 'latest', { raiseOnErrors: true }]],
      ['findMatchingTag', [repository, []]],
      ['lookupActiveRepositoryTags', [repository, null, -1]],
      ['changeTagImmutability', [{ ...tag, manifest: { ...tag.manifest, digest: 'md5:0' } }, true]],
      ['createManifestWithTempTag', [repository, parsed, 0]],
      ['setTagsExpirationForManifest', [tag.manifest, 1e12]],
      ['batchCreateManifestLabels', [tag.manifest, () => undefined]],
    ];
    for (const [name, given] of calls) {
      const refusal = callRefusal(await caught(() => untyped(name)(...given)));
      expect(refusal).toMatchObject({ code: 'InvalidArgument', detail: { method: name } });
      reasons.push(refusal?.message);
    }
    expect(reasons).toEqual([
      'getRepoTag: Too small: expected array to have >=2 items',
      'getRepoTag: argument 1.id: Invalid input: expected number, received string',
      'getRepoTag: argument 3: Unrecognized key: "raiseOnErrors"',
      'findMatchingTag: argument 2: Too small: expected array to have >=1 items',
      'lookupActiveRepositoryTags: argument 3: Too small: expected number to be >0',
      'changeTagImmutability: argument 1.manifest.digest: is neither a sha256 nor a sha512 digest',
      'createManifestWithTempTag: argument 3: Too small: expected number to be >=1',
      'setTagsExpirationForManifest: argument 2: Too big: expected number to be <=999999999',
      'batchCreateManifestLabels: argument 2: Invalid input: expected array, received function',
    ]);
  });

  it('is a failure nobody expected by one sentence, and the log has the rest', async ({
    expect,
  }) => {
    const { repository } = await aFullRepository();
    await execute('ALTER TABLE tag RENAME TO lost');
    const { outcome, lines } = await logged(() => remote.getRepoTag(repository, 'latest'));
    const { reason } = outcome as PromiseRejectedResult;
    const { callId } = callAmong(lines);
    expect(callRefusal(reason)).toEqual({
      code: 'Unexpected',
      detail: { callId },
      message: `something went wrong here; the log has more under call ${callId}`,
    });
    expect(Object.keys(reason as object).toSorted()).toEqual(['code', 'detail', 'name', 'remote']);
    const error = lines.map((line) => JSON.parse(line)).find(({ event }) => event === 'error');
    expect(error).toMatchObject({ level: 'error', callId });
    expect(JSON.stringify(error)).toContain('no such table');
  });

  it('is a store that does not answer now by its own code', async ({ expect }) => {
    const { repository } = await aFullRepository();
    const { gate } = failing({ store: 'd1', callNumber: 1, when: 'before', lasting: true });
    const service = new RegistryService(createExecutionContext(), { ...env, ...gated(env, gate) });
    const { outcome, lines } = await logged(() => service.getRepoTag(repository, 'latest'));
    const { reason } = outcome as PromiseRejectedResult;
    const { callId } = callAmong(lines);
    expect(reason).toMatchObject({ code: 'Unavailable', detail: { callId } });
    expect(JSON.stringify(lines)).toContain('the answer of the database was lost');
  });

  it('is every call while a setting cannot be used, by the sentence for the operator', async ({
    expect,
  }) => {
    const environment = { ...env, SPARSE_INDEX: 'perhaps' };
    const service = new RegistryService(createExecutionContext(), environment);
    const error = await caught(() => service.isNamespaceEnabled('acme'));
    expect(error).toMatchObject({
      name: 'NotConfiguredError',
      code: 'NotConfigured',
      detail: { setting: 'SPARSE_INDEX' },
    });
    expect(error.message).toContain('SPARSE_INDEX');
  });
});
