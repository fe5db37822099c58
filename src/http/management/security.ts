import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { RepositoryRole } from '../../model/access.ts';
import type { Manifest } from '../../model/datatypes.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { parseRfc3339 } from '../../model/rfc3339.ts';
import { SECURITY_STATUSES } from '../../model/security.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import {
  requireCredentials,
  requireManifest,
  requireRepositoryRole,
  whichMayWrite,
} from './access.ts';
import { listOf, nextPageOf, openToken } from './pages.ts';
import { requireDigest } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  digestParam,
  done,
  nextPageParam,
  ofRepository,
  refusals,
  repositoryParams,
  rfc3339,
  switchParam,
  takes,
} from './schemas.ts';
import {
  scan,
  scanQueueView,
  securityView,
  toScanViews,
  toSecurityView,
} from './security-views.ts';

const TAGS = ['Security'];
const path = ofRepository('/manifest/{digest}/security');
const params = repositoryParams.extend({ digest: digestParam });

const readSecurity = createRoute({
  method: 'get',
  path,
  operationId: 'readSecurityStatus',
  tags: TAGS,
  summary: 'How far a scanner is with a manifest, tagged or not, and what it reported',
  request: {
    params,
    query: z.strictObject({
      vulnerabilities: switchParam.openapi({ description: 'Whether they are wanted too.' }),
    }),
  },
  responses: {
    200: answers(securityView, 'The status; vulnerabilities if they are asked for.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const setSecurity = createRoute({
  method: 'put',
  path,
  operationId: 'setSecurityStatus',
  tags: TAGS,
  summary: 'Writes down what a scanner came to, instead of what it came to before',
  request: { params, body: takes(scan) },
  responses: {
    200: answers(securityView, 'As it is now, without the report.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const resetSecurity = createRoute({
  method: 'delete',
  path,
  operationId: 'resetSecurityStatus',
  tags: TAGS,
  summary: 'Has a scanner look at a manifest again',
  request: { params },
  responses: { 204: done('It is queued.'), ...refusals(...ACCESS_REFUSALS) },
});

const listScans = createRoute({
  method: 'get',
  path: '/security/queue',
  operationId: 'listScans',
  tags: TAGS,
  summary: 'What is queued for a scanner, the newest first; or what it did, the oldest first',
  description:
    'Images in use in the repositories that the caller may write to. A page may have few or none ' +
    'although there is a next one.',
  request: {
    query: z.strictObject({
      status: z.enum(SECURITY_STATUSES).default('queued').openapi({
        description: 'What is queued, or what scanners came to this result with.',
      }),
      before: rfc3339.optional().openapi({
        description: 'Of what was scanned: only what was before this time.',
      }),
      next_page: nextPageParam,
    }),
  },
  responses: { 200: answers(scanQueueView, 'A page.'), ...refusals('invalid_token') },
});

/** What scanners make of manifests. A scanner is a robot that may write to the repository. */
export function securityRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(readSecurity, async (c) => {
    const { manifest } = await requireScannable(c, c.req.valid('param'), 'read');
    const state = await c.var.scope.operations.readSecurityState(manifest);
    const vulnerabilities = c.req.valid('query').vulnerabilities === 'true';
    return c.json(toSecurityView(state, { vulnerabilities }), 200);
  });
  app.openapi(setSecurity, async (c) => {
    const { repository, manifest } = await requireScannable(c, c.req.valid('param'), 'write');
    const { status, data } = c.req.valid('json');
    await c.var.scope.operations.setSecurityState(
      manifest,
      status === 'scanned' ? { status, report: data } : { status },
    );
    recordAudit(c, {
      kind: 'set_security_status',
      repository,
      metadata: { manifest_digest: manifest.digest, status },
    });
    return c.json({ status, data: null }, 200);
  });
  app.openapi(resetSecurity, async (c) => {
    const { repository, manifest } = await requireScannable(c, c.req.valid('param'), 'admin');
    await c.var.scope.registry.resetSecurityStatus(manifest);
    const metadata = { manifest_digest: manifest.digest };
    recordAudit(c, { kind: 'reset_security_status', repository, metadata });
    return c.body(null, 204);
  });
  app.openapi(listScans, async (c) => {
    requireCredentials(c);
    const { status, before, next_page: token } = c.req.valid('query');
    const list = listOf(c, status);
    const cursor = openToken(list, token);
    const { operations } = c.var.scope;
    const beforeMs = before === undefined ? null : parseRfc3339(before);
    const page =
      status === 'queued'
        ? await operations.listQueuedScans({ cursor })
        : await operations.listScans(status, { beforeMs, cursor });
    const manifests = toScanViews(await whichMayWrite(c, page.items));
    return c.json({ manifests, ...nextPageOf(list, page.cursor) }, 200);
  });
  return app;
}

/** A manifest that is there, in use or not, in a repository where the caller has this role. */
async function requireScannable(
  c: Context<AppEnv>,
  { repository: name, digest: text }: { readonly repository: string; readonly digest: string },
  role: RepositoryRole,
): Promise<{ readonly repository: RepositoryRef; readonly manifest: Manifest }> {
  const digest = requireDigest(text);
  const repository = await requireRepositoryRole(c, name, role);
  const manifest = await requireManifest(c, { repository, digest }, { allowDead: true });
  return { repository, manifest };
}
