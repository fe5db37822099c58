import type { Hono } from 'hono';

import { authDeps, openScope } from './deps.ts';
import { createApp } from './http/app.ts';
import type { AppEnv } from './http/scope.ts';
import { readSettings } from './settings.ts';

/** An isolate serves one environment, so its app is made once. */
let app: Hono<AppEnv> | undefined;

function appFor(env: Env): Hono<AppEnv> {
  const settings = readSettings(env);
  return createApp({
    auth: authDeps(env, settings),
    openScope: ({ bookmark, context }) => openScope(env, { settings, bookmark, context }),
  });
}

export default {
  fetch(request, env, context) {
    app ??= appFor(env);
    return app.fetch(request, env, context);
  },
} satisfies ExportedHandler<Env>;
