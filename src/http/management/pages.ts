import { z } from '@hono/zod-openapi';
import { hash } from '@stablelib/sha256';
import type { Context } from 'hono';

import { encodeUtf8 } from '../../model/bytes.ts';
import { ACCOUNT_PAGE_SIZE_MAX } from '../../model/limits.ts';
import type { AppEnv } from '../scope.ts';
import { ManagementError } from './errors.ts';
import { limitParam, nextPageParam } from './schemas.ts';

/** What every list that is paged by a token takes. */
export const pageQuery = z.strictObject({
  limit: limitParam(ACCOUNT_PAGE_SIZE_MAX),
  next_page: nextPageParam,
});

/** The same as the domain takes it. */
export function toPageOptions(
  c: Context<AppEnv>,
  { limit, next_page: token }: z.infer<typeof pageQuery>,
): { readonly limit?: number; readonly cursor: string | null } {
  return { ...(limit === undefined ? {} : { limit }), cursor: openToken(listOf(c), token) };
}

/** Which list a request asks for: its path, and what else makes it another list. */
export function listOf(c: Context<AppEnv>, ...parts: readonly string[]): string {
  return [c.req.path.replace(/\/$/, ''), ...parts].join(' ');
}

/** Of how many hexadecimal digits the check of a token is: enough that no mistake passes by chance. */
const CHECK_LENGTH = 8;

/**
 * The `next_page` of an answer, if there is a next page: the domain's cursor behind a check of it and
 * of the list, so that it is good for that list alone, and a query takes it as it is. It is no secret,
 * and gives no right.
 */
export function nextPageOf(
  list: string,
  cursor: string | null | undefined,
): { readonly next_page?: string } {
  return typeof cursor === 'string' ? { next_page: toToken(list, cursor) } : {};
}

/**
 * The cursor in a token that {@link nextPageOf} gave for this list; null for the first page. Refuses
 * with `invalid_request` any other token.
 */
export function openToken(list: string, token: string | undefined): string | null {
  if (token === undefined) {
    return null;
  }
  const cursor = cursorIn(token);
  if (toToken(list, cursor) !== token) {
    throw new ManagementError('invalid_request', 'next_page: no page of this list gave it');
  }
  return cursor;
}

/** Cursors are made of names and numbers, so they are ASCII. */
function toToken(list: string, cursor: string): string {
  const check = Array.from(hash(encodeUtf8(`${list} ${cursor}`)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  return btoa(`${check.join('').slice(0, CHECK_LENGTH)}${cursor}`)
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** Of what is no token, a text that is no cursor of it. */
function cursorIn(token: string): string {
  const isBase64 = /^[A-Za-z0-9_-]*$/.test(token) && token.length % 4 !== 1;
  const text = isBase64 ? atob(token.replaceAll('-', '+').replaceAll('_', '/')) : '';
  return /^[\x20-\x7E]*$/.test(text) ? text.slice(CHECK_LENGTH) : '';
}
