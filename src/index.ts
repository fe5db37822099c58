import type { Hono } from 'hono';

import { ConfigurationError } from './configuration-error.ts';
import { runSchedule } from './cron/run.ts';
import { authDeps, openJobScope, openScope } from './deps.ts';
import { createApp, createMisconfiguredApp } from './http/app.ts';
import { requireAuthConfiguration } from './http/auth/configuration.ts';
import type { AppEnv } from './http/scope.ts';
import { registryService } from './rpc/registry-service.ts';
import { readSettings } from './settings.ts';

/** An isolate serves one environment, so its app is made once. */
let app: Hono<AppEnv> | undefined;

/** The app for an environment. All settings and secrets are checked before it serves anything. */
async function appFor(env: Env): Promise<Hono<AppEnv>> {
  try {
    const settings = readSettings(env);
    const auth = authDeps(env, settings);
    await requireAuthConfiguration(auth);
    return createApp({
      auth,
      legacyImageReads: settings.legacyImageReads,
      openScope: ({ bookmark, context }) => openScope(env, { settings, bookmark, context }),
    });
  } catch (error) {
    if (error instanceof ConfigurationError) {
      return createMisconfiguredApp(error);
    }
    throw error;
  }
}

export default {
  async fetch(request, env, context) {
    app ??= await appFor(env);
    return app.fetch(request, env, context);
  },

  async scheduled({ cron }, env, context) {
    const settings = readSettings(env);
    await runSchedule(cron, () => openJobScope(env, { settings, context }));
  },
} satisfies ExportedHandler<Env>;

/** The registry data interface for other Workers, by service binding: `docs/service-binding.md`. */
export class RegistryService extends registryService((env, context) =>
  openScope(env, { settings: readSettings(env), bookmark: null, context }),
) {}
