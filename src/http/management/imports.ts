import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import {
  IMPORT_CREDENTIAL_LENGTH_MAX,
  IMPORTS_LISTED_MAX,
  IMPORTS_OPEN_PER_REPOSITORY_MAX,
} from '../../model/import-limits.ts';
import type { Import } from '../../model/imports.ts';
import { TAGS_PER_PUSH_MAX } from '../../model/limits.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { ImportRequest } from '../../registry/imports/imports.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireCreator, requireRepositoryRole, requireWritableRepository } from './access.ts';
import { ManagementError } from './errors.ts';
import { requireRepositoryName } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  ofRepository,
  refusals,
  repositoryParams,
  rfc3339,
  takes,
} from './schemas.ts';

const TAGS = ['Imports'];

const importView = z
  .strictObject({
    import: z.uuid(),
    source: z.string().openapi({ example: 'registry.example.com/acme/app:1.2' }),
    state: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']),
    bytes_done: z.int().min(0),
    bytes_total: z
      .int()
      .min(0)
      .openapi({ description: 'Of what is known so far; it grows while manifests are read.' }),
    error: z.string().optional().openapi({
      description: 'Why it failed; while it waits, why it was put off.',
    }),
    created: rfc3339,
    ended: rfc3339.optional(),
  })
  .openapi('Import');

const credential = z.string().min(1).max(IMPORT_CREDENTIAL_LENGTH_MAX);

const importContent = z
  .strictObject({
    source: z.string().min(1).openapi({
      description: '`<host>/<name>:<tag>`, `<host>/<name>@<digest>`, or `<host>/<name>` with tags.',
      example: 'registry.example.com/acme/app:1.2',
    }),
    username: credential.optional(),
    password: credential.optional(),
    tags: z
      .array(z.string())
      .min(1)
      .max(TAGS_PER_PUSH_MAX)
      .optional()
      .openapi({
        description:
          'What the source names gets these tags, by default its own. Where it names a repository, ' +
          'these are copied from it.',
      }),
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    message: 'expected both or none',
    path: ['password'],
  })
  .openapi('NewImport');

const importParams = repositoryParams.extend({
  import: z
    .uuid()
    .openapi({ param: { name: 'import', in: 'path' }, description: 'The id of an import.' }),
});

const startImport = createRoute({
  method: 'post',
  path: ofRepository('/import'),
  operationId: 'startImport',
  tags: TAGS,
  summary: 'Copies an image of all its architectures from another registry',
  description:
    'The repository is made if there is none and the caller may make it. ' +
    `${IMPORTS_OPEN_PER_REPOSITORY_MAX} imports of a repository are under way at most.`,
  request: { params: repositoryParams, body: takes(importContent) },
  responses: {
    202: answers(z.strictObject({ import: z.uuid() }), 'It has begun, and goes on by itself.'),
    ...refusals(...ACCESS_REFUSALS, 'exceeds_license', 'read_only'),
  },
});

const listImports = createRoute({
  method: 'get',
  path: ofRepository('/import'),
  operationId: 'listImports',
  tags: TAGS,
  summary: `The newest ${IMPORTS_LISTED_MAX} imports of a repository`,
  request: { params: repositoryParams },
  responses: {
    200: answers(z.strictObject({ imports: z.array(importView) }), 'Newest first.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const readImport = createRoute({
  method: 'get',
  path: ofRepository('/import/{import}'),
  operationId: 'readImport',
  tags: TAGS,
  summary: 'How far an import has come',
  request: { params: importParams },
  responses: { 200: answers(importView, 'The import.'), ...refusals(...ACCESS_REFUSALS) },
});

const cancelImport = createRoute({
  method: 'delete',
  path: ofRepository('/import/{import}'),
  operationId: 'cancelImport',
  tags: TAGS,
  summary: 'Ends an import; what it brought and no tag holds is collected',
  request: { params: importParams },
  responses: {
    204: done('It has ended.'),
    ...refusals(...ACCESS_REFUSALS, 'conflict'),
  },
});

/** Images that are copied from other registries. */
export function importRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(startImport, async (c) => {
    const { source, username, password, tags = null } = c.req.valid('json');
    const request: ImportRequest = {
      source,
      credentials: username === undefined || password === undefined ? null : { username, password },
      tags,
    };
    const { repository: text } = c.req.valid('param');
    const repository = await repositoryForImport(c, text, request);
    const made = await c.var.scope.operations.startImport(repository, request);
    if (made === null) {
      throw new ManagementError('not_found', `repository '${text}' not found`);
    }
    const metadata = { import: made.uuid, source, ...(tags !== null && { tags }) };
    recordAudit(c, { kind: 'start_import', repository, metadata });
    return c.json({ import: made.uuid }, 202);
  });
  app.openapi(listImports, async (c) => {
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'write');
    const imports = await c.var.scope.operations.listImports(repository);
    return c.json({ imports: imports.map(toImportView) }, 200);
  });
  app.openapi(readImport, async (c) => {
    const { repository: text, import: uuid } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, text, 'write');
    return c.json(toImportView(await requireImport(c, { repository, uuid })), 200);
  });
  app.openapi(cancelImport, async (c) => {
    const { repository: text, import: uuid } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, text, 'write');
    const { source } = await requireImport(c, { repository, uuid });
    if (!(await c.var.scope.operations.cancelImport(repository, uuid))) {
      throw new ManagementError('conflict', `import ${uuid} has ended`);
    }
    recordAudit(c, { kind: 'cancel_import', repository, metadata: { import: uuid, source } });
    return c.body(null, 204);
  });
  return app;
}

/**
 * The repository that an import goes to; where there is none it is made, by who may make one, as the
 * first push would. What could not be begun makes none.
 */
async function repositoryForImport(
  c: Context<AppEnv>,
  text: string,
  request: ImportRequest,
): Promise<RepositoryRef> {
  const name = requireRepositoryName(text);
  const { registry, operations } = c.var.scope;
  if ((await registry.lookupRepository(name.namespace, name.repository)) !== null) {
    return requireWritableRepository(c, text);
  }
  const creatorId = await requireCreator(c, name);
  operations.planImport(request);
  const made = await operations.ensureRepository(name, { creatorId });
  if (made === null) {
    throw new ManagementError('not_found', `namespace '${name.namespace}' not found`);
  }
  if (made.isNew) {
    recordAudit(c, { kind: 'create_repo', repository: made });
  }
  return made;
}

async function requireImport(
  c: Context<AppEnv>,
  { repository, uuid }: { readonly repository: RepositoryRef; readonly uuid: string },
): Promise<Import> {
  const found = await c.var.scope.operations.getImport(repository, uuid);
  if (found === null) {
    throw new ManagementError('not_found', `import ${uuid} not found`);
  }
  return found;
}

function toImportView(found: Import): z.infer<typeof importView> {
  return {
    import: found.uuid,
    source: found.source,
    state: found.state,
    bytes_done: found.bytesDone,
    bytes_total: found.bytesTotal,
    ...(found.error !== null && { error: found.error }),
    created: new Date(found.createdMs).toISOString(),
    ...(found.endedMs !== null && { ended: new Date(found.endedMs).toISOString() }),
  };
}
