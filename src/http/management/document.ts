import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import type { AppEnv } from '../scope.ts';
import { MANAGEMENT_ERRORS, ManagementError, type ManagementErrorType } from './errors.ts';
import { answers, refusals, REPOSITORY } from './schemas.ts';

/** What the document says of the API as a whole. */
const ABOUT = {
  openapi: '3.1.0',
  info: {
    title: 'Berth management API',
    version: '1',
    description:
      'Everything a registry can do beside push and pull. Credentials are Basic, as for ' +
      '`docker login`; a secret may also be sent as Bearer.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/api/v1' }],
  tags: [
    { name: 'Tags', description: 'What names stand for, and what they stood for.' },
    { name: 'Manifests', description: 'What was pushed, by digest.' },
    { name: 'Labels', description: 'What is said of manifests.' },
    { name: 'Immutability policies', description: 'Which names of tags are locked.' },
    { name: 'Retention policies', description: 'Which tags end by number or by age.' },
    { name: 'Security', description: 'What scanners have to do, and what they came to.' },
    { name: 'Releases', description: 'Several tags that are moved by one step.' },
    { name: 'Imports', description: 'Images that are copied from other registries.' },
    { name: 'Notifications', description: 'Whom repositories tell of what happens in them.' },
    { name: 'Organizations', description: 'Namespaces, and what they decide for all they hold.' },
    { name: 'People', description: 'Who has an account, and what they log in with.' },
    { name: 'Members', description: 'Who belongs to an organization.' },
    { name: 'Robots', description: 'Accounts of machines.' },
    { name: 'Permissions', description: 'Who may do what in a repository, and why.' },
    { name: 'Quotas', description: 'How many bytes a namespace may hold, and does.' },
    { name: 'Garbage', description: 'What is removed, what was, and what holds the rest.' },
    { name: 'Logs', description: 'Who did what.' },
    { name: 'Repositories', description: 'Where tags and manifests are.' },
    { name: 'About', description: 'What this registry is.' },
    { name: 'Errors', description: 'What refusals mean.' },
  ],
};

const capabilities = createRoute({
  method: 'get',
  path: '/registry/capabilities',
  operationId: 'describeCapabilities',
  tags: ['About'],
  summary: 'What this registry can do beyond what all can',
  security: [],
  responses: {
    200: answers(
      z
        .strictObject({
          sparse_manifests: z.strictObject({
            supported: z.boolean().openapi({
              description: 'Whether an index may be pushed before its images.',
            }),
            required_architectures: z.array(z.string()),
            optional_architectures_allowed: z.boolean(),
          }),
          mirror_architectures: z.array(z.string()),
        })
        .openapi('Capabilities'),
      'They are so.',
    ),
    ...refusals(),
  },
});

const describeError = createRoute({
  method: 'get',
  path: '/error/{error_type}',
  operationId: 'describeError',
  tags: ['Errors'],
  summary: 'What a type of error means',
  security: [],
  request: {
    params: z.object({ error_type: z.string().openapi({ description: 'As a refusal has it.' }) }),
  },
  responses: {
    200: answers(
      z
        .strictObject({ type: z.string(), title: z.string(), description: z.string() })
        .openapi('ErrorDescription'),
      'The type.',
    ),
    ...refusals('not_found'),
  },
});

type Document = ReturnType<OpenAPIHono['getOpenAPI31Document']>;

/**
 * Adds the endpoints that describe errors and the registry, and the document of all endpoints at
 * `/openapi.json`, and at `/discovery`, where Quay's tools look for it. To be called last: what is
 * added to the app after it is in no document.
 */
export function serveDocument(app: OpenAPIHono<AppEnv>): void {
  app.openapi(describeError, (c) => {
    const { error_type: type } = c.req.valid('param');
    if (!isErrorType(type)) {
      throw new ManagementError('not_found', `there is no type of error '${type}'`);
    }
    const { description } = MANAGEMENT_ERRORS[type];
    return c.json({ type: c.req.url, title: type, description }, 200);
  });
  app.openapi(capabilities, (c) => {
    const { sparseIndex } = c.var.scope.settings;
    const sparse = {
      supported: sparseIndex,
      required_architectures: [],
      optional_architectures_allowed: sparseIndex,
    };
    return c.json({ sparse_manifests: sparse, mirror_architectures: [] }, 200);
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'basic', {
    type: 'http',
    scheme: 'basic',
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
  });
  let document: Document | undefined;
  const paths = ['/openapi.json', '/discovery'];
  app.on('GET', paths, (c) => c.json((document ??= describe(app))));
}

/** Paths say `{repository}` there; that it holds slashes is the router's concern. */
function describe(app: OpenAPIHono<AppEnv>): Document {
  const security = [{ basic: [] }, { bearer: [] }, {}];
  const document = app.getOpenAPI31Document({ ...ABOUT, security });
  const paths = Object.entries(document.paths ?? {}).map(([path, item]) => [
    path.replace(REPOSITORY, '{repository}'),
    item,
  ]);
  return { ...document, paths: Object.fromEntries(paths) };
}

function isErrorType(text: string): text is ManagementErrorType {
  return Object.hasOwn(MANAGEMENT_ERRORS, text);
}
