import type { D1Migration } from 'cloudflare:test';

declare global {
  namespace Cloudflare {
    interface Env {
      /** The migrations, read in Node and applied before each test. */
      TEST_MIGRATIONS: D1Migration[];
    }
  }
}
