import { requireAdminPassword } from './credentials.ts';
import type { AuthDeps } from './dependencies.ts';
import { requireSigningKeys } from './signing-key.ts';
import { requireTokenTtlSec } from './token.ts';

/**
 * Checks what an operator sets for authentication, before the first request needs any of it.
 *
 * @throws ConfigurationError for the first secret or setting that is missing or not usable
 */
export async function requireAuthConfiguration(deps: AuthDeps): Promise<void> {
  requireAdminPassword(deps);
  requireTokenTtlSec(deps);
  await requireSigningKeys(deps);
}
