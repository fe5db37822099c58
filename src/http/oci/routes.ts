import { Hono } from 'hono';

import { requireCredentials } from '../auth/access.ts';
import type { AppEnv } from '../scope.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { listRepositories } from './catalog.ts';
import { OciError } from './errors.ts';
import { discoverExtensions, discoverRepositoryExtensions } from './extensions.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import { listReferrers } from './referrers.ts';
import { listTags } from './tags.ts';
import { deleteUpload, getUpload, patchUpload, putUpload, startUpload } from './uploads.ts';

/**
 * The OCI distribution API, to be mounted at `/v2`. A path is read from its right end, so a
 * repository may be called `a/blobs/b`, and a tag `manifests`.
 */
export function ociRoutes(): Hono<AppEnv> {
  // Not strict, and no pattern ends in a slash: then every path matches with one and without.
  const app = new Hono<AppEnv>({ strict: false });

  app.get('/', async (c) => {
    await requireCredentials(c);
    return c.json({});
  });
  app.all('/', only('GET', 'HEAD'));

  app.get('/_catalog', listRepositories);
  app.all('/_catalog', only('GET', 'HEAD'));

  app.get('/_oci/ext/discover', discoverExtensions);
  app.all('/_oci/ext/discover', only('GET', 'HEAD'));
  const repositoryExtensions = inRepository('/_oci/ext/discover');
  app.get(repositoryExtensions, discoverRepositoryExtensions);
  app.all(repositoryExtensions, only('GET', 'HEAD'));

  const manifest = inRepository('/manifests/:reference');
  app.get(manifest, getManifest);
  app.put(manifest, putManifest);
  app.delete(manifest, deleteManifest);
  app.all(manifest, only('GET', 'HEAD', 'PUT', 'DELETE'));

  const uploads = inRepository('/blobs/uploads');
  app.post(uploads, startUpload);
  app.all(uploads, only('POST'));

  const upload = inRepository('/blobs/uploads/:upload');
  app.get(upload, getUpload);
  app.patch(upload, patchUpload);
  app.put(upload, putUpload);
  app.delete(upload, deleteUpload);
  app.all(upload, only('GET', 'HEAD', 'PATCH', 'PUT', 'DELETE'));

  const blob = inRepository('/blobs/:digest');
  app.get(blob, getBlob);
  app.delete(blob, deleteBlob);
  app.all(blob, only('GET', 'HEAD', 'DELETE'));

  const tags = inRepository('/tags/list');
  app.get(tags, listTags);
  app.all(tags, only('GET', 'HEAD'));

  const referrers = inRepository('/referrers/:digest');
  app.get(referrers, listReferrers);
  app.all(referrers, only('GET', 'HEAD'));

  return app;
}

/**
 * The pattern of a path below a repository: the name is all that stands before this end. The end is
 * said in the name's own pattern too, since the router would end a name at the last place that
 * merely begins like it: `/v2/a/manifests/manifests-1` would have no tag.
 */
export function inRepository<End extends `/${string}`>(end: End): `/:name${End}` {
  const pathsEnd = end.replaceAll(/:\w+/g, '[^/]+');
  // The router takes the expression out of the path; its types need not know it.
  return `/:name{.+(?=${pathsEnd}$)}${end}` as `/:name${End}`;
}

/** Answers the other methods of a known path: 405 `UNSUPPORTED`. */
export function only(...methods: readonly string[]): () => never {
  return () => {
    throw new OciError(
      405,
      { code: 'UNSUPPORTED', message: `this path knows ${methods.join(', ')}` },
      { Allow: methods.join(', ') },
    );
  };
}
