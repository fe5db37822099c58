import { createExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { ConfigurationError } from '../../../src/configuration-error.ts';
import { openScope } from '../../../src/deps.ts';
import { readSettings } from '../../../src/settings.ts';
import { aRepositoryName } from '../../support/registry.ts';

/** The registry as a request opens it, where this secret is set, or none. */
function openWith(LEGACY_IMAGE_KEY: string | undefined) {
  const { DB, BUCKET, CACHE } = env;
  const secret = LEGACY_IMAGE_KEY === undefined ? {} : { LEGACY_IMAGE_KEY };
  return openScope(
    { DB, BUCKET, CACHE, ...secret },
    { settings: readSettings({}), bookmark: null, context: createExecutionContext() },
  );
}

describe('the secret that ids of legacy images are made with', () => {
  it.for([
    [undefined, /^The secret LEGACY_IMAGE_KEY is not set: .*wrangler secret put LEGACY_IMAGE_KEY/],
    ['', /^The secret LEGACY_IMAGE_KEY is not set: /],
    ['x'.repeat(31), /^The secret LEGACY_IMAGE_KEY has fewer than 32 characters: [^x]/],
  ] as const)(
    'is missed by those who need it alone (%s)',
    async ([secret, message], { expect }) => {
      const { registry, operations } = openWith(secret);
      const repository = await operations.ensureRepository(aRepositoryName());
      if (repository === null) {
        throw new Error('the repository was not made');
      }
      for (const call of [
        () => registry.getTagLegacyImageId(repository, 'v1'),
        () => registry.getLegacyTagsMap(repository),
        () => registry.getLegacyImage(repository, '0'.repeat(64)),
      ]) {
        const error: unknown = await call().catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(ConfigurationError);
        expect(error).toMatchObject({
          setting: 'LEGACY_IMAGE_KEY',
          message: expect.stringMatching(message) as string,
        });
        expect(JSON.stringify(error)).not.toContain('xxx');
      }
      expect(await registry.getRepoTag(repository, 'v1')).toBeNull();
    },
  );

  it('is what the operator set', async ({ expect }) => {
    const { registry, operations } = openWith(env.LEGACY_IMAGE_KEY);
    const repository = await operations.ensureRepository(aRepositoryName());
    expect(repository && (await registry.getLegacyTagsMap(repository))).toEqual(new Map());
  });
});
