import type { Context } from 'hono';

import { MANIFEST_MEDIA_TYPES } from '../../image/media-types.ts';
import { parseStoredManifest } from '../../image/parse.ts';
import type { Manifest } from '../../model/datatypes.ts';
import { readWithAccess } from '../auth/access.ts';
import { requireEnabledNamespace } from '../auth/namespaces.ts';
import type { AppEnv } from '../scope.ts';
import { requireDigest } from './params.ts';

/**
 * end-12: an index of what refers to a digest, a page at a time. Never 404: a client that is told
 * so would fall back to tags, so an unknown digest or repository has no referrers.
 */
export async function listReferrers(
  c: Context<AppEnv, '/v2/:name/referrers/:digest'>,
): Promise<Response> {
  const asked = c.req.param('name');
  const artifactType = c.req.query('artifactType') || null;
  const cursor = c.req.query('last') ?? null;
  const page = await readWithAccess(c, { name: asked, action: 'pull' }, async (name) => {
    const { operations, registry } = c.var.scope;
    const digest = requireDigest(c.req.param('digest'));
    const [referrers] = await Promise.all([
      operations.listReferrers(name, digest, { artifactType, cursor }),
      requireEnabledNamespace(c, name.namespace, { namespaces: registry, forPush: false }),
    ]);
    return referrers;
  });
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociIndex,
    manifests: page.items.map(describe),
  });
  const filter = artifactType === null ? '' : `artifactType=${encodeURIComponent(artifactType)}&`;
  return c.body(body, 200, {
    'Content-Type': MANIFEST_MEDIA_TYPES.ociIndex,
    'Content-Length': String(new TextEncoder().encode(body).byteLength),
    'Cache-Control': 'no-transform',
    ...(artifactType === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
    ...(page.cursor === undefined
      ? {}
      : {
          Link: `</v2/${asked}/referrers/${c.req.param('digest')}?${filter}last=${page.cursor}>; rel="next"`,
        }),
  });
}

/** The descriptor of a referrer, with the annotations of its manifest. */
function describe(referrer: Manifest): object {
  const { annotations } = parseStoredManifest(referrer.bytes, referrer);
  const { mediaType, sizeBytes, digest, artifactType } = referrer;
  return {
    mediaType,
    size: sizeBytes,
    digest,
    ...(artifactType === null ? {} : { artifactType }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
