import { z } from '@hono/zod-openapi';

import { MANAGEMENT_ERRORS, type ManagementErrorType } from './errors.ts';

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

/** The path of an endpoint of the caller's own namespace, who is a person. */
export const ofUser = (suffix: string): string => `/user${suffix}`;

/**
 * Texts that name something, one schema a concept, so that the document shows each the same. What
 * comes in is judged by the parsers of the model, whose refusals say more than a pattern does.
 */
export const digestText = z.string().openapi({
  pattern: '^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$',
  example: 'sha256:4fd222e4b2a7f2b0a9f0e7fae0a7c7d2df5b4b0f5a1f7d3e1c9b8a7f6e5d4c3b',
});
export const tagNameText = z.string().openapi({ example: '1.2' });
export const repositoryNameText = z.string().openapi({ example: 'acme/app' });
/** The name of a repository within its namespace. */
export const repositoryPathText = z.string().openapi({ example: 'app' });
export const namespaceNameText = z.string().openapi({ example: 'acme' });
export const accountNameText = z.string().openapi({ example: 'acme+ci' });
export const mediaTypeText = z.string().openapi({
  example: 'application/vnd.oci.image.config.v1+json',
});
/** A pattern for whole names of tags. */
export const tagPatternText = z.string().openapi({ example: 'v[0-9]+\\.[0-9]+' });
/** A secret of an account. */
export const secretText = z.string().openapi({
  pattern: '^[A-Z0-9]{64}$',
  example: 'VHRJ4K0Q'.repeat(8),
});
/** Since when or until when, in whole seconds. */
export const epochSec = z.int().openapi({ example: 1_795_897_411 });

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

export const digestParam = digestText.openapi({
  param: { name: 'digest', in: 'path' },
  description: 'A digest, `sha256:` with 64 or `sha512:` with 128 hexadecimal digits.',
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
    status: z.int().openapi({ example: 404 }),
    title: z.string().openapi({ example: 'not_found' }),
    type: z.url().openapi({ example: 'https://registry.example.com/api/v1/error/not_found' }),
    detail: z.string().openapi({ example: "tag '1.2' not found" }),
    error_type: z.string().openapi({ example: 'not_found' }),
    error_message: z.string().openapi({ example: "tag '1.2' not found" }),
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
  'unavailable',
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

/** A whole number in a query, from 1 to `max`: digits and nothing else. */
export const countParam = (max: number) =>
  z.preprocess(
    (text) => (typeof text === 'string' && /^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : text),
    z.int().min(1).max(max),
  );

/** How many a page has at most. */
export const limitParam = (max: number) =>
  countParam(max).optional().openapi({ description: 'How many a page has at most.' });

/** Where a page that is asked for by a token begins. */
const PAGE_EXAMPLE = 'YTFiMmMzZDQxODM4OTk4OTQ0NzIwODk2';
export const nextPageParam = z.string().optional().openapi({
  description: 'The `next_page` of the page before, of the same list.',
  example: PAGE_EXAMPLE,
});
/** What an answer says of the page after it. */
export const nextPage = z.string().optional().openapi({
  description: 'Asks for the page after this; there if there is more.',
  example: PAGE_EXAMPLE,
});

/** A switch in a query. */
export const switchParam = z.enum(['true', 'false']).optional();

/** An answer in JSON, for an endpoint's description. */
export function answers<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } };
}
