import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import { LABEL_MEDIA_TYPES, reservedPrefixOf } from '../../image/labels.ts';
import { encodeUtf8 } from '../../model/bytes.ts';
import { LABEL_VALUE_BYTES_MAX } from '../../model/limits.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireManifest, requireRepositoryRole, requireWritableRepository } from './access.ts';
import { ManagementError } from './errors.ts';
import { labelView, toLabelView } from './manifest-views.ts';
import { requireDigest } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  digestParam,
  done,
  ofRepository,
  refusals,
  repositoryParams,
  takes,
  WRITE_REFUSALS,
} from './schemas.ts';

const TAGS = ['Labels'];
const ofManifest = (path: string) => ofRepository(`/manifest/{digest}/labels${path}`);
const params = repositoryParams.extend({ digest: digestParam });
const labelParams = params.extend({
  label: z.uuid().openapi({ description: 'The id of a label.' }),
});

const listLabels = createRoute({
  method: 'get',
  path: ofManifest(''),
  operationId: 'listLabels',
  tags: TAGS,
  summary: 'The labels of a manifest, in order of creation',
  request: {
    params,
    query: z.strictObject({
      filter: z.string().min(1).optional().openapi({ description: 'What the key begins with.' }),
    }),
  },
  responses: {
    200: answers(z.strictObject({ labels: z.array(labelView) }), 'The labels.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const createLabel = createRoute({
  method: 'post',
  path: ofManifest(''),
  operationId: 'createLabel',
  tags: TAGS,
  summary: 'Puts a label on a manifest',
  request: {
    params,
    body: takes(
      z
        .strictObject({
          key: z.string().openapi({ example: 'team' }),
          value: z
            .string()
            .refine((value) => encodeUtf8(value).byteLength <= LABEL_VALUE_BYTES_MAX, {
              message: `has more than ${LABEL_VALUE_BYTES_MAX} bytes`,
            })
            .openapi({ example: 'payments' }),
          media_type: z.enum(LABEL_MEDIA_TYPES).nullable().openapi({
            description: 'Null: JSON if the value is an object or array, else plain text.',
          }),
        })
        .openapi('NewLabel'),
    ),
  },
  responses: {
    201: {
      ...answers(z.strictObject({ label: labelView }), 'The label.'),
      headers: z.object({ Location: z.string() }),
    },
    ...refusals(...WRITE_REFUSALS),
  },
});

const readLabel = createRoute({
  method: 'get',
  path: ofManifest('/{label}'),
  operationId: 'readLabel',
  tags: TAGS,
  summary: 'One label',
  request: { params: labelParams },
  responses: { 200: answers(labelView, 'The label.'), ...refusals(...ACCESS_REFUSALS) },
});

const deleteLabel = createRoute({
  method: 'delete',
  path: ofManifest('/{label}'),
  operationId: 'deleteLabel',
  tags: TAGS,
  summary: 'Takes a label away that was given through the API',
  request: { params: labelParams },
  responses: { 204: done('It is gone.'), ...refusals(...WRITE_REFUSALS) },
});

/** What is said of manifests beside their bytes. */
export function labelRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(listLabels, async (c) => {
    const { repository: name, digest: text } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireRepositoryRole(c, name, 'read');
    const manifest = await requireManifest(c, { repository, digest });
    const prefix = c.req.valid('query').filter ?? null;
    const labels = await c.var.scope.registry.listManifestLabels(manifest, prefix);
    return c.json({ labels: labels.map(toLabelView) }, 200);
  });
  app.openapi(createLabel, async (c) => {
    const { repository: name, digest: text } = c.req.valid('param');
    const { key, value, media_type: mediaType } = c.req.valid('json');
    const digest = requireDigest(text);
    const { registry, settings } = c.var.scope;
    const reserved = reservedPrefixOf(key, settings.reservedLabelPrefixes);
    if (reserved !== null) {
      throw new ManagementError('invalid_request', `key: '${reserved}' is reserved`);
    }
    const repository = await requireWritableRepository(c, name);
    const manifest = await requireManifest(c, { repository, digest });
    const label = await registry.createManifestLabel(manifest, key, value, 'api', mediaType);
    if (label === null) {
      throw new ManagementError('not_found', `manifest ${digest} not found`);
    }
    const metadata = { manifest_digest: digest, key, value, media_type: label.mediaType };
    recordAudit(c, { kind: 'manifest_label_add', repository, metadata });
    const { pathname } = new URL(c.req.url);
    c.header('Location', `${pathname.replace(/\/$/, '')}/${label.uuid}`);
    return c.json({ label: toLabelView(label) }, 201);
  });
  app.openapi(readLabel, async (c) => {
    const { repository: name, digest: text, label: uuid } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireRepositoryRole(c, name, 'read');
    const manifest = await requireManifest(c, { repository, digest });
    const label = await c.var.scope.registry.getManifestLabel(manifest, uuid);
    return c.json(toLabelView(found(label, uuid)), 200);
  });
  app.openapi(deleteLabel, async (c) => {
    const { repository: name, digest: text, label: uuid } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireWritableRepository(c, name);
    const manifest = await requireManifest(c, { repository, digest });
    const { key, value } = found(
      await c.var.scope.registry.deleteManifestLabel(manifest, uuid),
      uuid,
    );
    const metadata = { manifest_digest: digest, key, value };
    recordAudit(c, { kind: 'manifest_label_delete', repository, metadata });
    return c.body(null, 204);
  });
  return app;
}

function found<Label>(label: Label | null, uuid: string): Label {
  if (label === null) {
    throw new ManagementError('not_found', `label ${uuid} not found`);
  }
  return label;
}
