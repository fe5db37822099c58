import { applyD1Migrations, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeEach } from 'vitest';

/** Tests of code without stores; they need none. */
const PURE_RINGS = /\/test\/(?:model|image)\//;

// Storage is isolated per test file only; every test starts from an empty registry.
beforeEach(async ({ task }) => {
  if (PURE_RINGS.test(task.file.filepath)) {
    return;
  }
  await reset();
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
});
