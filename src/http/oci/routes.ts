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
 * The OCI distribution API, to be mounted at `/v2`. A repository's name is greedy and ends at the
 * last word that can follow it, so a repository may itself be called `a/blobs/b`.
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
  const repositoryExtensions = '/:name{.+}/_oci/ext/discover';
  app.get(repositoryExtensions, discoverRepositoryExtensions);
  app.all(repositoryExtensions, only('GET', 'HEAD'));

  const manifest = '/:name{.+}/manifests/:reference';
  app.get(manifest, getManifest);
  app.put(manifest, putManifest);
  app.delete(manifest, deleteManifest);
  app.all(manifest, only('GET', 'HEAD', 'PUT', 'DELETE'));

  const uploads = '/:name{.+}/blobs/uploads';
  app.post(uploads, startUpload);
  app.all(uploads, only('POST'));

  const upload = '/:name{.+}/blobs/uploads/:upload';
  app.get(upload, getUpload);
  app.patch(upload, patchUpload);
  app.put(upload, putUpload);
  app.delete(upload, deleteUpload);
  app.all(upload, only('GET', 'HEAD', 'PATCH', 'PUT', 'DELETE'));

  const blob = '/:name{.+}/blobs/:digest';
  app.get(blob, getBlob);
  app.delete(blob, deleteBlob);
  app.all(blob, only('GET', 'HEAD', 'DELETE'));

  const tags = '/:name{.+}/tags/list';
  app.get(tags, listTags);
  app.all(tags, only('GET', 'HEAD'));

  const referrers = '/:name{.+}/referrers/:digest';
  app.get(referrers, listReferrers);
  app.all(referrers, only('GET', 'HEAD'));

  return app;
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
