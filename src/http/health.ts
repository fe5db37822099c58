import type { Context } from 'hono';

import type { AppEnv } from './scope.ts';

/** `/health/instance`: this Worker runs. Asks nobody. */
export function instanceHealth(c: Context<AppEnv>): Response {
  return answer(c, { worker: true });
}

/** `/health/endtoend`: and its database, bucket and cache answer. */
export async function endToEndHealth(c: Context<AppEnv>): Promise<Response> {
  return answer(c, { worker: true, ...(await c.var.scope.operations.checkStores()) });
}

function answer(c: Context<AppEnv>, services: Readonly<Record<string, boolean>>): Response {
  const status = Object.values(services).every(Boolean) ? 200 : 503;
  return c.json({ data: { services }, status_code: status }, status);
}
