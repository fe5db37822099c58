/**
 * A Worker that promotes images: it points a tag to what another tag of the repository points to,
 * such as `production` to what `staging` is. It calls the registry over a service binding, and asks
 * for a key, since the binding asks nobody.
 */
import { callRefusal } from '../../../src/rpc/refusals.ts';
import type { RemoteRegistry } from '../../../src/rpc/remote-registry.ts';

interface Env {
  readonly REGISTRY: RemoteRegistry;
  /** Whoever sends it as Bearer may see and promote. */
  readonly PROMOTION_KEY: string;
}

/** How many tags are shown. */
const TAGS_MAX = 100;

export default {
  async fetch(request, env) {
    if (!(await isAllowed(request, env))) {
      return Response.json({ error: 'send the key as Bearer' }, { status: 401 });
    }
    const { pathname, searchParams } = new URL(request.url);
    const [, namespace, repository, tag] = pathname.split('/');
    if (namespace === undefined || repository === undefined) {
      return Response.json({ error: 'ask for /<namespace>/<repository>' }, { status: 404 });
    }
    const found = await env.REGISTRY.lookupRepository(namespace, repository);
    if (found === null) {
      return Response.json({ error: 'there is no such repository' }, { status: 404 });
    }
    if (tag === undefined) {
      return listTags(env.REGISTRY, found);
    }
    const from = searchParams.get('from');
    if (request.method !== 'POST' || from === null) {
      return Response.json({ error: 'POST …/<tag>?from=<tag>' }, { status: 400 });
    }
    return promote(env.REGISTRY, found, { from, to: tag });
  },
} satisfies ExportedHandler<Env>;

type Repository = NonNullable<Awaited<ReturnType<RemoteRegistry['lookupRepository']>>>;

/** What is where, and since when. */
async function listTags(registry: RemoteRegistry, repository: Repository): Promise<Response> {
  const { items } = await registry.listRepositoryTagHistory(repository, {
    activeTagsOnly: true,
    size: TAGS_MAX,
  });
  return Response.json(
    items.map(({ name, manifestDigest, lifetimeStartMs, immutable }) => ({
      name,
      digest: manifestDigest,
      since: new Date(lifetimeStartMs).toISOString(),
      immutable,
    })),
  );
}

async function promote(
  registry: RemoteRegistry,
  repository: Repository,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Response> {
  const source = await registry.getRepoTag(repository, from);
  if (source === null) {
    return Response.json({ error: `there is no tag '${from}'` }, { status: 404 });
  }
  try {
    const tag = await registry.retargetTag(repository, to, source.manifest);
    return tag === null
      ? Response.json({ error: `what '${from}' points to is gone` }, { status: 409 })
      : Response.json({ name: tag.name, digest: tag.manifestDigest });
  } catch (error) {
    const refusal = callRefusal(error);
    if (refusal?.code === 'TagImmutable') {
      return Response.json({ error: refusal.message }, { status: 409 });
    }
    if (refusal?.code === 'InvalidArgument' || refusal?.code === 'TagNameInvalid') {
      return Response.json({ error: refusal.message }, { status: 400 });
    }
    throw error;
  }
}

/** Compares in a time that does not depend on what was sent. */
async function isAllowed({ headers }: Request, { PROMOTION_KEY: key }: Env): Promise<boolean> {
  const [given, wanted] = await Promise.all([
    digestOf(headers.get('Authorization') ?? ''),
    digestOf(`Bearer ${key}`),
  ]);
  return key !== '' && crypto.subtle.timingSafeEqual(given, wanted);
}

function digestOf(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
}
