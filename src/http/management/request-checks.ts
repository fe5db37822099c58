import type { MiddlewareHandler } from 'hono';

import { JSON_DEPTH_MAX } from '../../model/limits.ts';
import type { AppEnv } from '../scope.ts';
import { ManagementError } from './errors.ts';

/** What no schema says of a request. */

/**
 * Middleware that refuses a body that is missing where one is taken, or is no UTF-8; and one that is
 * there, and says anything, where none is taken.
 */
export function requireBody(isTaken: boolean): MiddlewareHandler<AppEnv> {
  return async function refuseBody(c, next) {
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      const text = decodeUtf8(await c.req.arrayBuffer());
      if (isTaken && text === '') {
        throw mistake('body', 'expected JSON');
      }
      // Clients that send JSON with every request say so that they have nothing to say.
      if (!isTaken && !/^\s*(?:\{\s*\})?\s*$/.test(text)) {
        throw mistake('body', 'this endpoint takes none');
      }
    }
    await next();
  };
}

function decodeUtf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) {
      throw mistake('body', 'is no UTF-8');
    }
    throw error;
  }
}

/**
 * Refuses with `invalid_request` a value that the database would not keep, or not read, as it is: with
 * half a surrogate pair in a text, or NUL, where its functions end a text; or nested more than
 * {@link JSON_DEPTH_MAX} deep. Without recursion, which itself has a depth.
 */
export function requireStorable(value: unknown): void {
  const left: Place[] = [{ value, path: [] }];
  for (let place = left.pop(); place !== undefined; place = left.pop()) {
    const { value: found, path } = place;
    if (path.length > JSON_DEPTH_MAX) {
      const [field = 'body'] = path;
      throw mistake(field, `is nested more than ${JSON_DEPTH_MAX} deep`);
    }
    if (typeof found === 'string') {
      requireText(found, path.join('.') || 'body');
    } else if (typeof found === 'object' && found !== null) {
      for (const [name, inner] of Object.entries(found)) {
        requireText(name, path.join('.') || 'body');
        left.push({ value: inner, path: [...path, name] });
      }
    }
  }
}

interface Place {
  readonly value: unknown;
  readonly path: readonly string[];
}

function requireText(text: string, field: string): void {
  if (text.includes('\0') || !text.isWellFormed()) {
    throw mistake(field, 'is no text: it has NUL or half a surrogate pair in it');
  }
}

function mistake(field: string, message: string): ManagementError {
  return new ManagementError('invalid_request', `${field}: ${message}`);
}
