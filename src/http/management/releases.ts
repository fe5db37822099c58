import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { AuditKind } from '../../model/audit-log.ts';
import { RELEASE_MOVES_MAX, RELEASE_PAGE_SIZE_MAX } from '../../model/limits.ts';
import {
  formatRepositoryName,
  type NamespaceName,
  type RepositoryName,
} from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { Release, ReleaseMove } from '../../registry/tags/releases.ts';
import { performerOfRequest, recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import {
  hasRoleInEach,
  requireNamespace,
  requireNormalState,
  requireWritableRepositories,
} from './access.ts';
import { ManagementError } from './errors.ts';
import { listOf, nextPageOf, toPageOptions } from './pages.ts';
import {
  requireDigest,
  requireNamespaceName,
  requireRepositoryName,
  requireTagName,
} from './parse.ts';
import { refusedReleaseView, releaseView, toReleaseView } from './release-views.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  digestText,
  limitParam,
  nextPage,
  nextPageParam,
  ofOrganization,
  organizationParams,
  refusals,
  repositoryNameText,
  takes,
  WRITE_REFUSALS,
} from './schemas.ts';

const TAGS = ['Releases'];
const releaseParams = organizationParams.extend({
  release: z.uuid().openapi({ description: 'The id of a release.' }),
});

const newRelease = z
  .strictObject({
    moves: z
      .array(
        z.strictObject({
          repository: repositoryNameText,
          tag: z.string().openapi({ example: 'production' }),
          manifest_digest: digestText.openapi({
            description: 'A manifest that a tag of the repository holds.',
          }),
          if_digest: digestText.nullable().optional().openapi({
            description: 'What the tag must point to now; null: it must not be there.',
          }),
        }),
      )
      .min(1)
      .max(RELEASE_MOVES_MAX),
  })
  .openapi('NewRelease');

/** Of an endpoint that moves tags: nothing was changed. */
const REFUSALS = {
  ...refusals(...WRITE_REFUSALS),
  409: answers(refusedReleaseView, '`conflict`: A tag cannot be moved, so nothing was changed.'),
};

const createRelease = createRoute({
  method: 'post',
  path: ofOrganization('/release'),
  operationId: 'createRelease',
  tags: TAGS,
  summary: 'Moves or makes several tags, all or none of them',
  request: { params: organizationParams, body: takes(newRelease) },
  responses: { 201: answers(releaseView, 'All tags are moved.'), ...REFUSALS },
});

const undoRelease = createRoute({
  method: 'post',
  path: ofOrganization('/release/{release}/undo'),
  operationId: 'undoRelease',
  tags: TAGS,
  summary: 'Puts all tags of a release back; that is a release too',
  request: { params: releaseParams },
  responses: { 201: answers(releaseView, 'The release that undid it.'), ...REFUSALS },
});

const readRelease = createRoute({
  method: 'get',
  path: ofOrganization('/release/{release}'),
  operationId: 'readRelease',
  tags: TAGS,
  summary: 'A release of the last 90 days',
  request: { params: releaseParams },
  responses: { 200: answers(releaseView, 'The release.'), ...refusals(...ACCESS_REFUSALS) },
});

const listReleases = createRoute({
  method: 'get',
  path: ofOrganization('/release'),
  operationId: 'listReleases',
  tags: TAGS,
  summary: 'The releases of the last 90 days, the last first',
  request: {
    params: organizationParams,
    query: z.strictObject({
      limit: limitParam(RELEASE_PAGE_SIZE_MAX),
      next_page: nextPageParam,
    }),
  },
  responses: {
    200: answers(
      z.strictObject({ releases: z.array(releaseView), next_page: nextPage }),
      'A page of releases.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

/** Several tags moved by one step. */
export function releaseRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(createRelease, async (c) => {
    const namespace = requireNamespaceName(c.req.valid('param').organization, 'organization');
    const moves = await requireMoves(c, namespace, c.req.valid('json').moves);
    const made = await c.var.scope.operations.createRelease(moves, performerOfRequest(c));
    const repositories = moves.map(({ repository }) => repository);
    recordRelease(c, 'release_tags', { release: made, repositories });
    return c.json(toReleaseView(made), 201);
  });
  app.openapi(undoRelease, async (c) => {
    const release = await requireRelease(c, c.req.valid('param'));
    const { operations } = c.var.scope;
    const found = await operations.lookupRepositories(repositoriesOf(release));
    const repositories = found.filter((repository) => repository !== null);
    repositories.forEach(requireNormalState);
    const made = await operations.undoRelease(release, performerOfRequest(c));
    await forgetEnded(c, made);
    recordRelease(c, 'undo_release', { release: made, repositories });
    return c.json(toReleaseView(made), 201);
  });
  app.openapi(readRelease, async (c) =>
    c.json(toReleaseView(await requireRelease(c, c.req.valid('param'))), 200),
  );
  app.openapi(listReleases, async (c) => {
    const options = toPageOptions(c, c.req.valid('query'));
    const namespace = await requireNamespace(c, c.req.valid('param').organization);
    const page = await c.var.scope.operations.listReleases(namespace, options);
    const next = nextPageOf(listOf(c), page.cursor);
    return c.json({ releases: page.items.map(toReleaseView), ...next }, 200);
  });
  return app;
}

/** The moves of a request, of repositories that the caller may write to; all of one namespace. */
async function requireMoves(
  c: Context<AppEnv>,
  namespace: NamespaceName,
  asked: z.infer<typeof newRelease>['moves'],
): Promise<readonly ReleaseMove[]> {
  const parsed = asked.map((move, index) => parseMove(move, { namespace, at: `moves.${index}` }));
  const names = new Map(parsed.map(({ name }) => [formatRepositoryName(name), name]));
  const repositories = await requireWritableRepositories(c, [...names.values()]);
  const byName = new Map([...names.keys()].map((text, index) => [text, repositories[index]]));
  return parsed.map(({ name, ...move }) => {
    const repository = byName.get(formatRepositoryName(name));
    if (repository === undefined) {
      throw new Error('a repository was not looked up');
    }
    return { ...move, repository };
  });
}

function parseMove(
  move: z.infer<typeof newRelease>['moves'][number],
  { namespace, at }: { readonly namespace: NamespaceName; readonly at: string },
): Omit<ReleaseMove, 'repository'> & { readonly name: RepositoryName } {
  const { repository, tag, manifest_digest: digest, if_digest: ifDigest } = move;
  const name = requireRepositoryName(repository, `${at}.repository`);
  if (name.namespace !== namespace) {
    const message = `${at}.repository: '${repository}' is not in '${namespace}'`;
    throw new ManagementError('invalid_request', message);
  }
  return {
    name,
    tagName: requireTagName(tag, `${at}.tag`),
    digest: requireDigest(digest, `${at}.manifest_digest`),
    ...(ifDigest === undefined
      ? {}
      : { ifDigest: ifDigest === null ? null : requireDigest(ifDigest, `${at}.if_digest`) }),
  };
}

/** The repositories of a release by their names of then, each once. */
function repositoriesOf({ namespaceName: namespace, moves }: Release): readonly RepositoryName[] {
  const paths = new Set(moves.map(({ repositoryName }) => repositoryName));
  return [...paths].map((repository) => ({ namespace, repository }));
}

/**
 * The release, if the caller may write to each of its repositories. Anybody else is answered alike for
 * it and for one that is not there.
 */
async function requireRelease(
  c: Context<AppEnv>,
  { organization, release: uuid }: z.infer<typeof releaseParams>,
): Promise<Release> {
  const namespace = requireNamespaceName(organization, 'organization');
  const release = await c.var.scope.operations.getRelease(namespace, uuid);
  const names = release === null ? [] : repositoriesOf(release);
  const isTheirs = await hasRoleInEach(c, names, 'write');
  if (release === null || !isTheirs) {
    throw new ManagementError('not_found', `release ${uuid} not found`);
  }
  return release;
}

/** Has answers by digest forgotten here of what may be available no more. */
async function forgetEnded(c: Context<AppEnv>, release: Release): Promise<void> {
  const { operations } = c.var.scope;
  const { namespaceName: namespace, moves } = release;
  await Promise.all(
    moves.map(async ({ repositoryName: repository, beforeDigest, digest }) => {
      if (digest === null && beforeDigest !== null) {
        await operations.forgetManifest({ namespace, repository }, beforeDigest);
      }
    }),
  );
}

/** Writes down what happened to each repository, so that who reads its log alone sees it too. */
function recordRelease(
  c: Context<AppEnv>,
  kind: Extract<AuditKind, 'release_tags' | 'undo_release'>,
  {
    release,
    repositories,
  }: { readonly release: Release; readonly repositories: readonly RepositoryRef[] },
): void {
  const { uuid, undoes, moves } = release;
  for (const repository of new Map(repositories.map((each) => [each.id, each])).values()) {
    const tags = moves
      .filter(({ repositoryId }) => repositoryId === repository.id)
      .map(({ tagName }) => tagName);
    const undone = undoes === null ? {} : { undoes };
    recordAudit(c, { kind, repository, metadata: { release: uuid, ...undone, tags } });
  }
}
