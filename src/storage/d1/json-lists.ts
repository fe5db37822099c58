import { JSON_PARAMETER_BYTES_MAX } from '../../model/limits.ts';

/** The values as JSON lists, none longer than D1 takes as one parameter. */
export function jsonLists(values: readonly object[]): readonly string[] {
  const lists: string[] = [];
  let items: string[] = [];
  let length = 0;
  for (const item of values.map((value) => JSON.stringify(value))) {
    const bytes = new TextEncoder().encode(item).byteLength + 1;
    if (length + bytes > JSON_PARAMETER_BYTES_MAX && items.length > 0) {
      lists.push(`[${items.join(',')}]`);
      items = [];
      length = 0;
    }
    items.push(item);
    length += bytes;
  }
  return items.length === 0 ? lists : [...lists, `[${items.join(',')}]`];
}
