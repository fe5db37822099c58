import { sql } from 'drizzle-orm';

import { namespace } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

/** Whether the namespace of exactly this name is enabled; no row if there is none. */
export const namespaceEnabledStatement = defineStatement<
  { namespace: string },
  { enabled: number },
  { isEnabled: boolean }
>(
  (p) => sql`SELECT n.enabled AS enabled FROM ${namespace} n WHERE n.name = ${p.namespace}`,
  ({ enabled }) => ({ isEnabled: enabled === 1 }),
);
