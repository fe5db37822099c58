import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, statfsSync } from 'node:fs';

import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

// wrangler runs this before it serves or deploys; here nothing else does.
import './scripts/assets.mjs';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const testSigningKey = privateKey.export({ format: 'jwk' });

/**
 * Tests that fill or read what an isolate remembers: failed logins, countries, pulls. Each file has an
 * isolate of its own; all others take turns in one, which halves their time.
 */
const OWN_ISOLATE = [
  'test/http/*.test.ts',
  'test/http/auth/**/*.test.ts',
  'test/http/management/logs.test.ts',
  'test/http/oci/{pull-statistics,regions}.test.ts',
  'test/cron/**/*.test.ts',
  'test/rpc/**/*.test.ts',
];
const E2E_RING = 'test/e2e/**';

/**
 * The local stores are files in the temporary folder and are synced at each write. Where there is
 * room in memory for them, that takes half the time.
 */
const MEMORY = '/dev/shm';
const MEMORY_BYTES_MIN = 2 ** 31;
if (process.env['TMPDIR'] === undefined && existsSync(MEMORY)) {
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize >= MEMORY_BYTES_MIN) {
    process.env['TMPDIR'] = MEMORY;
  }
}

/** The plugin for one project of tests: a local runtime with the Worker's bindings. */
async function localRuntime() {
  return cloudflareTest({
    wrangler: { configPath: './wrangler.toml' },
    miniflare: {
      // What it counts outlives a test; that of the tests never refuses.
      ratelimits: {
        LOGIN_LIMITER: { namespace_id: '1', simple: { limit: 1_000_000, period: 60 } },
      },
      bindings: {
        TEST_MIGRATIONS: await readD1Migrations('./migrations'),
        ADMIN_PASSWORD: 'correct horse battery staple',
        // Answers outlive the reset between tests; the tests that are about them turn them on.
        ANSWER_TTL_SEC: '0',
        // Counting goes on behind the answers; the tests that are about it turn it on.
        PULL_REPORT_INTERVAL_SEC: '0',
        // How long, and from which seed, the test that compares tags with a model goes on.
        MODEL_SEED: process.env['MODEL_SEED'] ?? '20261124',
        MODEL_SECONDS: process.env['MODEL_SECONDS'] ?? '20',
        // The same for the soak of garbage collection; its steps are counted.
        SOAK_SEED: process.env['SOAK_SEED'] ?? '20261124',
        SOAK_STEPS: process.env['SOAK_STEPS'] ?? '200',
        TOKEN_SIGNING_KEY: JSON.stringify(testSigningKey),
        LEGACY_IMAGE_KEY: randomBytes(32).toString('hex'),
      },
    },
  });
}

const everywhere = {
  setupFiles: ['./test/setup.ts'],
  testTimeout: 60_000,
  // By default one core is left to the machine, which on two halves the speed.
  maxWorkers: '100%',
};

export default defineConfig(async () => ({
  test: {
    silent: 'passed-only',
    projects: [
      {
        plugins: [await localRuntime()],
        test: {
          ...everywhere,
          name: 'isolated',
          include: OWN_ISOLATE,
        },
      },
      {
        plugins: [await localRuntime()],
        test: {
          ...everywhere,
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: [...OWN_ISOLATE, E2E_RING],
          isolate: false,
        },
      },
    ],
  },
}));
