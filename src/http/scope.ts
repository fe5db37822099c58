import type { Usage } from '../model/usage.ts';
import type { RegistryOperations } from '../registry/index.ts';
import type { RegistryDataInterface } from '../registry/interface.ts';
import type { RegistrySettings } from '../registry/settings.ts';
import type { Deed } from './audit-log.ts';
import type { AuthEnv, AuthVariables } from './auth/middleware.ts';

/** The registry as one request has it. */
export interface RequestScope {
  readonly registry: RegistryDataInterface;
  readonly operations: RegistryOperations;
  readonly settings: RegistrySettings;
  /** What the request asked of the stores so far. */
  readonly usage: Readonly<Usage>;
  /** What a later request sends back to read what this one wrote, or null. */
  bookmark(): string | null;
}

/** What the app puts on the context of every request. */
export interface AppVariables extends AuthVariables {
  readonly scope: RequestScope;
  readonly requestId: string;
  /** What the request did so far. */
  readonly deeds: Deed[];
}
export interface AppEnv extends AuthEnv {
  Variables: AppVariables;
}

/** The header that carries the database's bookmark, both ways. */
export const BOOKMARK_HEADER = 'Berth-Bookmark';

/** Hexadecimal numbers with dashes between. The database fails at what is none of its own. */
const BOOKMARK = /^[0-9a-f]+(?:-[0-9a-f]+)+$/;
const BOOKMARK_LENGTH_MAX = 128;

/** The bookmark that a request brought; null for none, and for what cannot be one. */
export function parseBookmark(header: string | undefined): string | null {
  return header !== undefined && header.length <= BOOKMARK_LENGTH_MAX && BOOKMARK.test(header)
    ? header
    : null;
}
