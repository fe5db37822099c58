import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const testSigningKey = privateKey.export({ format: 'jwk' });

export default defineConfig(async () => ({
  plugins: [
    cloudflareTest({
      wrangler: { configPath: './wrangler.toml' },
      miniflare: {
        bindings: {
          TEST_MIGRATIONS: await readD1Migrations('./migrations'),
          ADMIN_PASSWORD: 'correct horse battery staple',
          // Answers outlive the reset between tests; the tests that are about them turn them on.
          ANSWER_TTL_SEC: '0',
          // How long, and from which seed, the test that compares tags with a model goes on.
          MODEL_SEED: process.env['MODEL_SEED'] ?? '20261124',
          MODEL_SECONDS: process.env['MODEL_SECONDS'] ?? '20',
          TOKEN_SIGNING_KEY: JSON.stringify(testSigningKey),
          LEGACY_IMAGE_KEY: randomBytes(32).toString('hex'),
        },
      },
    }),
  ],
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**'],
    setupFiles: ['./test/setup.ts'],
    testTimeout: 60_000,
    // By default one core is left to the machine, which on two halves the speed.
    maxWorkers: '100%',
    silent: 'passed-only',
  },
}));
