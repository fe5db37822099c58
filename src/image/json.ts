import * as z from 'zod';

import type { JsonObject, JsonValue } from '../model/datatypes.ts';
import { RegistryError } from '../model/errors.ts';

/** RFC 8259 9 lets a reader limit nesting; what walks the value later may then recurse. */
export const JSON_DEPTH_MAX = 100;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const BYTE_ORDER_MARK = '\uFEFF';

/** The refusal of a manifest; `path` is where, in dots (`layers.2.digest`), or the document. */
export function manifestInvalid(path: string, problem: string): RegistryError<'ManifestInvalid'> {
  return new RegistryError('ManifestInvalid', { reason: `${path}: ${problem}` });
}

/**
 * The JSON object that bytes spell in UTF-8 without byte order mark. `ManifestInvalid` for
 * anything else and for nesting beyond {@link JSON_DEPTH_MAX}; `document` names it in the reason.
 */
export function readJsonObject(bytes: Uint8Array, document: string): JsonObject {
  return parseJsonObject(decode(bytes, document), document);
}

/** The same of a text. */
export function parseJsonObject(text: string, document: string): JsonObject {
  const value = parseJson(text, document);
  if (!isJsonObject(value)) {
    throw manifestInvalid(document, 'is not a JSON object');
  }
  if (isDeeperThan(value, JSON_DEPTH_MAX)) {
    throw manifestInvalid(document, `is nested more than ${JSON_DEPTH_MAX} levels deep`);
  }
  return value;
}

/**
 * The value as the schema gives it out. `ManifestInvalid` with the path of the first mismatch,
 * below `root` unless that is null.
 */
export function matchSchema<Schema extends z.ZodType>(
  value: JsonObject,
  schema: Schema,
  root: string | null = null,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) {
    return result.data;
  }
  const [issue] = result.error.issues;
  const path = [...(root === null ? [] : [root]), ...(issue?.path ?? [])];
  throw manifestInvalid(path.join('.'), issue?.message ?? 'is invalid');
}

/**
 * A schema of arrays that gives up at the first bad item. `z.array(item)` would collect an issue
 * for every one, and a few megabytes of `0,` are more issues than a Worker's memory holds.
 */
export function listOf<Item extends z.ZodType>(item: Item, lengthMax = Number.MAX_SAFE_INTEGER) {
  return z
    .array(z.unknown())
    .max(lengthMax)
    .transform((values, context): z.output<Item>[] => {
      const items: z.output<Item>[] = [];
      for (const [index, value] of values.entries()) {
        const result = item.safeParse(value);
        if (!result.success) {
          const [issue] = result.error.issues;
          context.addIssue({
            code: 'custom',
            path: [index, ...(issue?.path ?? [])],
            message: issue?.message,
          });
          return z.NEVER;
        }
        items.push(result.data);
      }
      return items;
    });
}

/** A schema of objects with any content. */
export const jsonObjectSchema = z.custom<JsonObject>(isJsonObject, 'is not an object');

/** A schema of objects that keeps the entries whose values are strings. */
export const stringMapSchema = jsonObjectSchema.transform(
  (object): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(object).filter(isStringEntry)),
);

function decode(bytes: Uint8Array, document: string): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw manifestInvalid(document, 'is not valid UTF-8');
  }
  if (text.startsWith(BYTE_ORDER_MARK)) {
    throw manifestInvalid(document, 'begins with a byte order mark');
  }
  return text;
}

function parseJson(text: string, document: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw manifestInvalid(document, 'is not valid JSON');
  }
}

/** Whether the value is an object that JSON can spell, and no array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text under a key; null for anything else. */
export function textIn(object: JsonObject, key: string): string | null {
  const value = object[key];
  return typeof value === 'string' ? value : null;
}

function isStringEntry(entry: [string, JsonValue]): entry is [string, string] {
  return typeof entry[1] === 'string';
}

/** Recursion is safe here: it goes no deeper than what it looks for. */
function isDeeperThan(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  return depthMax === 0 || Object.values(value).some((item) => isDeeperThan(item, depthMax - 1));
}
