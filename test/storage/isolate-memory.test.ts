import { describe, it } from 'vitest';

import { IsolateMemory } from '../../src/storage/isolate-memory.ts';

describe('the memory of an isolate', () => {
  it('gives a value until its time is over, not in the millisecond in which it is', ({
    expect,
  }) => {
    const memory = new IsolateMemory<string>(10);
    memory.set('key', 'value', 1000);
    expect(memory.get('key', 999)).toBe('value');
    expect(memory.get('key', 1000)).toBeNull();
    expect(memory.get('other', 0)).toBeNull();
  });

  it('gives the value that was set last, and none that was dropped', ({ expect }) => {
    const memory = new IsolateMemory<string>(10);
    memory.set('key', 'one', 1000);
    memory.set('key', 'two', 500);
    expect(memory.get('key', 0)).toBe('two');
    expect(memory.get('key', 500)).toBeNull();
    memory.set('key', 'three', 1000);
    memory.drop('key');
    memory.drop('key');
    expect(memory.get('key', 0)).toBeNull();
  });

  it('has so many values at most: the one set first makes room', ({ expect }) => {
    const memory = new IsolateMemory<number>(2);
    memory.set('a', 1, 1000);
    memory.set('b', 2, 1000);
    memory.set('a', 3, 1000);
    memory.set('c', 4, 1000);
    expect(['a', 'b', 'c'].map((key) => memory.get(key, 0))).toEqual([3, null, 4]);
  });
});
