import { describe, it } from 'vitest';

import document from '../../docs/interface.md?raw';
import { OF_NOTHING, staleReferences } from '../support/absent.ts';
import type { Gate } from '../support/gate.ts';
import { openTestRegistry } from '../support/registry.ts';

declare global {
  interface ImportMeta {
    glob(
      patterns: readonly string[],
      options: { eager: true; query: '?raw'; import: 'default' },
    ): Record<string, string>;
  }
}

/** The names in the table of methods: `| original | here | what | file | tests |`. */
const DOCUMENTED = [
  ...document.matchAll(/^\| `\w+_\w+` \| `(\w+)` \| [^|]+ \| `[^|]+` \| `[^|]+` \|$/gm),
].map(([, name = '']) => name);

/** What the other tests of the domain say, all in one. */
const TESTS = Object.values(
  import.meta.glob(['./**/*.ts', '!./interface-document.test.ts'], {
    eager: true,
    query: '?raw',
    import: 'default',
  }),
).join('\n');

const NAMES = Object.keys(OF_NOTHING).toSorted();

describe('the registry data interface', () => {
  it('has 50 methods, each once in docs/interface.md with its file and its tests', ({ expect }) => {
    expect(NAMES).toHaveLength(50);
    expect(DOCUMENTED.toSorted()).toEqual(NAMES);
  });

  it('is what createRegistry offers, no more and no less', ({ expect }) => {
    const { registry } = openTestRegistry();
    expect(Object.keys(registry).toSorted()).toEqual(NAMES);
    expect(Object.values(registry).every((method) => typeof method === 'function')).toBe(true);
  });

  it('answers every method from the stores', async ({ expect }) => {
    const stale = await staleReferences();
    for (const [name, [call, given]] of Object.entries(OF_NOTHING)) {
      let calls = 0;
      const gate: Gate = (_call, run) => {
        calls += 1;
        return run();
      };
      const { registry } = openTestRegistry({ gate });
      const answer = await call(registry, stale).catch((error: unknown) => {
        if (error instanceof Error && 'code' in error) {
          return error.code;
        }
        throw new Error(`${name} failed`, { cause: error });
      });
      expect.soft(answer, name).toEqual(given);
      expect.soft(calls, name).toBeGreaterThan(0);
    }
  });

  // That a test calls a method does not say that it checks the answer, or all of them; that is
  // what the scenarios in the names of the tests are for.
  it('has every method called by the tests of its concept', ({ expect }) => {
    const called = NAMES.filter((name) => TESTS.includes(`.${name}(`));
    expect(called).toEqual(NAMES);
  });
});
