import type { D1Migration } from 'cloudflare:test';

declare global {
  namespace Cloudflare {
    interface Env {
      /** The migrations, read in Node and applied before each test. */
      TEST_MIGRATIONS: D1Migration[];
      /** The seed of the test that compares tags with a model. */
      MODEL_SEED: string;
      /** After how long that test begins no further sequence. */
      MODEL_SECONDS: string;
      /** The seed of the soak of garbage collection, and how many steps it takes. */
      SOAK_SEED: string;
      SOAK_STEPS: string;
    }
  }
}
