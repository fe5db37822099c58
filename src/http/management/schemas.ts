import { z } from '@hono/zod-openapi';

import { type AccountName, parseAccountName } from '../../model/accounts.ts';
import { MANAGEMENT_ERRORS, ManagementError, type ManagementErrorType } from './errors.ts';

/**
 * What several endpoints take or answer. Schemas are strict: a field that an endpoint does not know
 * is a mistake of the caller's, and is named.
 */

/**
 * The path of an endpoint of a repository. Its name holds slashes, and maybe the words that can
 * follow it, so its pattern looks ahead at what does; {@link REPOSITORY} is that pattern.
 */
export function ofRepository(suffix: string): string {
  const following = suffix.replaceAll(/\{[^}]+\}/g, '[^/]+');
  return `/repository/{repository{[^/]+/.+(?=${following}$)}}${suffix}`;
}

export const REPOSITORY = /\{repository\{.*?\}\}/;

export const repositoryParams = z.object({
  repository: z.string().openapi({
    param: { name: 'repository', in: 'path' },
    description: 'A repository, `<namespace>/<name>`; the name may hold further slashes.',
    example: 'acme/app',
  }),
});

export const ofOrganization = (suffix: string): string => `/organization/{organization}${suffix}`;

export const organizationParams = z.object({
  organization: z.string().openapi({
    param: { name: 'organization', in: 'path' },
    description: 'A namespace: an organization, or the own one of a person.',
    example: 'acme',
  }),
});

export const accountParam = z.string().openapi({
  param: { name: 'account', in: 'path' },
  description: 'A person, or a robot as `<namespace>+<name>`.',
  example: 'acme+ci',
});

/** The name that such a parameter holds. */
export function requireAccountName(text: string): AccountName {
  const name = parseAccountName(text);
  if (name === null) {
    throw new ManagementError('invalid_request', `account: nobody is called '${text}'`);
  }
  return name;
}

export const digestParam = z.string().openapi({
  param: { name: 'digest', in: 'path' },
  description: 'A digest, `sha256:` with 64 or `sha512:` with 128 hexadecimal digits.',
  example: `sha256:${'0'.repeat(64)}`,
});

/** A time as the newer endpoints write it. */
export const rfc3339 = z.iso.datetime().openapi({ example: '2026-11-28T12:00:00.000Z' });

/** A time as Quay's endpoints write it. */
export const rfc2822 = z
  .string()
  .regex(/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000$/)
  .openapi({ example: 'Fri, 16 Jan 2026 16:09:14 -0000' });

export const errorView = z
  .strictObject({
    status: z.int(),
    title: z.string(),
    type: z.url(),
    detail: z.string(),
    error_type: z.string(),
    error_message: z.string(),
  })
  .openapi('Error');

/** What any request may be refused with, whatever it asks for. */
const COMMON_REFUSALS = [
  'invalid_request',
  'payload_too_large',
  'uri_too_long',
  'unsupported_media_type',
  'too_many_requests',
  'server_error',
  'not_configured',
] as const;

/** The refusals of an endpoint, for its description; those types that share a status are one entry. */
export function refusals(...types: readonly ManagementErrorType[]) {
  const byStatus = new Map<number, string[]>();
  for (const type of new Set([...COMMON_REFUSALS, ...types])) {
    const { status, description } = MANAGEMENT_ERRORS[type];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${type}\`: ${description}`]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, descriptions]) => [
      status,
      {
        description: descriptions.join(' '),
        content: { 'application/json': { schema: errorView } },
      },
    ]),
  );
}

/** What every endpoint that asks who is calling may refuse with. */
export const ACCESS_REFUSALS = ['invalid_token', 'insufficient_scope', 'not_found'] as const;

/** What every change of tags or labels may refuse with. */
export const WRITE_REFUSALS = [...ACCESS_REFUSALS, 'too_many_requests', 'read_only'] as const;

/** An answer without a body, for an endpoint's description. */
export function done(description: string) {
  return { description };
}

/** A body in JSON, for an endpoint's description; it must be there. */
export function takes<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { 'application/json': { schema } } };
}

/** How many a page has at most. */
export const limitParam = (max: number) =>
  z.coerce
    .number()
    .int()
    .min(1)
    .max(max)
    .optional()
    .openapi({ description: 'How many a page has at most.' });

/** Where a page that is asked for by a token begins. */
export const NEXT_PAGE = 'The `next_page` of the page before.';
export const nextPageParam = z.string().optional().openapi({ description: NEXT_PAGE });

/** A switch in a query. */
export const switchParam = z.enum(['true', 'false']).optional();

/** An answer in JSON, for an endpoint's description. */
export function answers<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } };
}
