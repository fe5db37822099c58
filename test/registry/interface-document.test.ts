import { describe, it } from 'vitest';

import document from '../../docs/interface.md?raw';
import { openTestRegistry } from '../support/registry.ts';

interface DocumentedMethod {
  readonly name: string;
  readonly isBuilt: boolean;
}

/** The rows of the table of methods: `| original | here | what | file or "not built yet" | … |`. */
const METHODS: readonly DocumentedMethod[] = [
  ...document.matchAll(/^\| `\w+_\w+` \| `(\w+)` \| [^|]+ \| ([^|]+) \|/gm),
].map(([, name = '', file = '']) => ({ name, isBuilt: file.trim() !== 'not built yet' }));

describe('docs/interface.md', () => {
  it('has the 50 methods of the interface, each once', ({ expect }) => {
    expect(METHODS).toHaveLength(50);
    expect(new Set(METHODS.map(({ name }) => name)).size).toBe(50);
  });

  it('says of exactly those that createRegistry offers that they are built', ({ expect }) => {
    const built = METHODS.filter(({ isBuilt }) => isBuilt).map(({ name }) => name);
    const offered = Object.keys(openTestRegistry().registry);
    expect(built.toSorted()).toEqual(offered.toSorted());
  });
});
