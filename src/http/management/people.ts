import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import type { CredentialInfo } from '../../model/accounts.ts';
import { APP_TOKEN_EXPIRING_DAYS } from '../../model/limits.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import { parseRfc3339 } from '../../model/rfc3339.ts';
import type { EpochMs } from '../../model/time.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireNewNamespace, requirePerson } from './access.ts';
import { ManagementError } from './errors.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  refusals,
  rfc2822,
  rfc3339,
  secretText,
  switchParam,
  takes,
} from './schemas.ts';

const TAGS = ['People'];

// Two schemas of the same fields: a strict one that extends another allows nothing in the document.
const tokenFields = {
  uuid: z.uuid(),
  title: z.string().openapi({ example: 'laptop' }),
  created: rfc2822,
  last_accessed: rfc2822.nullable().openapi({ description: 'To the day; null: never.' }),
  expiration: rfc2822.nullable().openapi({ description: 'Null: it ends when it is revoked.' }),
};
const tokenView = z.strictObject(tokenFields).openapi('AppToken');
const newTokenView = z
  .strictObject({
    ...tokenFields,
    token_code: secretText.openapi({ description: 'The secret, shown this once.' }),
  })
  .openapi('NewAppToken');

const tokenParams = z.object({
  uuid: z.uuid().openapi({
    param: { name: 'uuid', in: 'path' },
    description: 'The id of a token.',
  }),
});

const createUser = createRoute({
  method: 'post',
  path: '/superuser/users',
  operationId: 'createUser',
  tags: TAGS,
  summary: 'Makes a person, their namespace, and the first token that they log in with',
  request: {
    body: takes(
      z.strictObject({ username: z.string().openapi({ example: 'ada' }) }).openapi('NewUser'),
    ),
  },
  responses: {
    201: answers(
      z.strictObject({ username: z.string().openapi({ example: 'ada' }), token: newTokenView }),
      'The person, and their token.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const listTokens = createRoute({
  method: 'get',
  path: '/user/apptoken',
  operationId: 'listAppTokens',
  tags: TAGS,
  summary: 'What the caller may log in with',
  request: {
    query: z.strictObject({
      expiring: switchParam.openapi({
        description: `Those alone that end within ${APP_TOKEN_EXPIRING_DAYS} days, or have ended.`,
      }),
    }),
  },
  responses: {
    200: answers(
      z.strictObject({ tokens: z.array(tokenView), only_expiring: z.boolean() }),
      'The tokens, oldest first.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const readToken = createRoute({
  method: 'get',
  path: '/user/apptoken/{uuid}',
  operationId: 'readAppToken',
  tags: TAGS,
  summary: 'A token of the caller, without its secret',
  request: { params: tokenParams },
  responses: {
    200: answers(z.strictObject({ token: tokenView }), 'The token.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const createToken = createRoute({
  method: 'post',
  path: '/user/apptoken',
  operationId: 'createAppToken',
  tags: TAGS,
  summary: 'Makes a token for the caller, and shows its secret',
  request: {
    body: takes(
      z
        .strictObject({
          title: z.string().min(1).openapi({ example: 'laptop' }),
          expiration: rfc3339.nullable().optional(),
        })
        .openapi('AppTokenContent'),
    ),
  },
  responses: {
    200: answers(z.strictObject({ token: newTokenView }), 'The token.'),
    ...refusals(...ACCESS_REFUSALS, 'exceeds_license'),
  },
});

const revokeToken = createRoute({
  method: 'delete',
  path: '/user/apptoken/{uuid}',
  operationId: 'revokeAppToken',
  tags: TAGS,
  summary: 'Ends a token at once',
  request: { params: tokenParams },
  responses: { 204: done('It is gone.'), ...refusals(...ACCESS_REFUSALS) },
});

/** People, and what they log in with. */
export function peopleRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(createUser, async (c) => {
    const name = requireNewNamespace(c, c.req.valid('json').username, 'username');
    const { user, credential, secret } = await c.var.scope.operations.createUser(name);
    recordAudit(c, { kind: 'user_create', namespace: name, metadata: { username: name } });
    const token = { ...toTokenView(credential), token_code: secret };
    return c.json({ username: user.name, token }, 201);
  });
  app.openapi(listTokens, async (c) => {
    const person = await requirePerson(c);
    const isExpiring = c.req.valid('query').expiring === 'true';
    const tokens = await c.var.scope.operations.listAppTokens(person, { isExpiring });
    return c.json({ tokens: tokens.map(toTokenView), only_expiring: isExpiring }, 200);
  });
  app.openapi(readToken, async (c) => {
    const { uuid } = c.req.valid('param');
    const person = await requirePerson(c);
    const token = await c.var.scope.operations.getAppToken(person, uuid);
    if (token === null) {
      throw noToken(uuid);
    }
    return c.json({ token: toTokenView(token) }, 200);
  });
  app.openapi(createToken, async (c) => {
    const { title, expiration } = c.req.valid('json');
    const person = await requirePerson(c);
    const { credential, secret } = await c.var.scope.operations.createAppToken(person, {
      title,
      expiresMs: parseExpiration(expiration ?? null),
    });
    recordAudit(c, {
      kind: 'create_app_specific_token',
      namespace: person.namespaceName,
      metadata: { app_specific_token_title: title },
    });
    return c.json({ token: { ...toTokenView(credential), token_code: secret } }, 200);
  });
  app.openapi(revokeToken, async (c) => {
    const { uuid } = c.req.valid('param');
    const person = await requirePerson(c);
    if (!(await c.var.scope.operations.revokeAppToken(person, uuid))) {
      throw noToken(uuid);
    }
    recordAudit(c, { kind: 'revoke_app_specific_token', namespace: person.namespaceName });
    return c.body(null, 204);
  });
  return app;
}

function noToken(uuid: string): ManagementError {
  return new ManagementError('not_found', `there is no token ${uuid}`);
}

function parseExpiration(text: string | null): EpochMs | null {
  const expiresMs = text === null ? null : parseRfc3339(text);
  if (text !== null && expiresMs === null) {
    throw new ManagementError('invalid_request', `expiration: '${text}' is no time`);
  }
  return expiresMs;
}

function toTokenView(token: CredentialInfo): z.infer<typeof tokenView> {
  return {
    uuid: token.uuid,
    title: token.title,
    created: formatRfc2822(token.createdMs),
    last_accessed: timeOrNull(token.lastUsedMs),
    expiration: timeOrNull(token.expiresMs),
  };
}

function timeOrNull(timeMs: EpochMs | null): string | null {
  return timeMs === null ? null : formatRfc2822(timeMs);
}
