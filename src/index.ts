import type { Hono } from 'hono';

import { runSchedule } from './cron/run.ts';
import { authDeps, openJobScope, openScope } from './deps.ts';
import { createApp, createMisconfiguredApp } from './http/app.ts';
import { requireAuthConfiguration } from './http/auth/configuration.ts';
import { ConfigurationError } from './http/configuration-error.ts';
import type { AppEnv } from './http/scope.ts';
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
