import { reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeEach } from 'vitest';

/** Tests of code without stores; they need none. */
const PURE_RINGS = /\/test\/(?:model|image)\//;

// Storage is isolated per test file at most; every test starts from an empty registry.
beforeEach(async ({ task }) => {
  if (PURE_RINGS.test(task.file.filepath)) {
    return;
  }
  await reset();
  // All migrations as one batch: applying them one by one, with a journal, takes twice as long.
  const statements = env.TEST_MIGRATIONS.flatMap(({ queries }) => queries);
  await env.DB.batch(statements.map((statement) => env.DB.prepare(statement)));
});
