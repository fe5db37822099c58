import { childToConvert, hasSchema1Form } from '../../image/convert.ts';
import { imageSteps } from '../../image/layers.ts';
import { SCHEMA1_MEDIA_TYPE } from '../../image/media-types.ts';
import type { ParsedImage, ParsedManifest, ParsedSchema1 } from '../../image/parsed-manifest.ts';
import { buildSchema1, type Schema1Names } from '../../image/schema1.ts';
import { RegistryError, type RegistryErrorCode } from '../../model/errors.ts';
import { INDEX_DEPTH_MAX } from '../../model/limits.ts';
import type { ManifestInfo } from '../../model/references.ts';
import { visibleBlobStatement } from '../../storage/d1/blobs.ts';
import { manifestByDigestStatement } from '../../storage/d1/manifests.ts';
import type { StoredManifest } from '../../storage/d1/rows.ts';
import type { RegistryDeps } from '../deps.ts';
import type { ManifestReads } from '../interface.ts';
import { nullUnless } from '../null-unless.ts';
import { readConfig } from './config.ts';
import { manifestOf, readStored } from './load.ts';

type Conversion = Pick<ManifestReads, 'getSchema1ParsedManifest' | 'convertManifest'>;

/** The refusals by which a manifest cannot be given in another form. */
const INCONVERTIBLE: ReadonlySet<RegistryErrorCode> = new Set<RegistryErrorCode>([
  'ManifestNotFound',
  'ManifestInvalid',
  'ManifestTypeUnsupported',
]);

/** Gives manifests in other forms than the one that was pushed. */
export function createManifestConversion(deps: RegistryDeps): Conversion {
  return {
    getSchema1ParsedManifest: (manifest, namespaceName, repositoryName, tagName, options = {}) =>
      nullUnless(options.raiseOnError, INCONVERTIBLE, async () => {
        const stored = await find(manifest, deps);
        const form = await schema1Form(stored, { namespaceName, repositoryName, tagName }, deps);
        if (form === null && options.raiseOnError) {
          const reason = `${manifest.digest} has no schema 1 form`;
          throw new RegistryError('ManifestInvalid', { reason });
        }
        return form;
      }),

    convertManifest: (manifest, namespaceName, repositoryName, tagName, allowed) =>
      nullUnless(false, INCONVERTIBLE, async () => {
        const found = await descend(await find(manifest, deps), allowed, deps);
        if (found === null || allowed.has(found.mediaType)) {
          return found;
        }
        const names = { namespaceName, repositoryName, tagName };
        return found.kind === 'image' && allowed.has(SCHEMA1_MEDIA_TYPE)
          ? buildForm(found, { repositoryId: manifest.repositoryId, names, deps })
          : null;
      }),
  };
}

/**
 * The schema 1 form of a stored manifest; null: it has none. `ManifestNotFound` where its body was
 * collected since its row was read, `ManifestInvalid` where it or its config is broken.
 */
async function schema1Form(
  stored: StoredManifest,
  names: Schema1Names,
  deps: RegistryDeps,
): Promise<ParsedSchema1 | null> {
  const image = await descend(stored, new Set(), deps);
  return image?.kind === 'image'
    ? buildForm(image, { repositoryId: stored.info.repositoryId, names, deps })
    : null;
}

/** The same, but null instead of a refusal. */
export function schema1FormOrNull(
  stored: StoredManifest,
  names: Schema1Names,
  deps: RegistryDeps,
): Promise<ParsedSchema1 | null> {
  return nullUnless(false, INCONVERTIBLE, () => schema1Form(stored, names, deps));
}

async function find(manifest: ManifestInfo, { database }: RegistryDeps): Promise<StoredManifest> {
  const stored = await database.firstAnywhere(manifestOf(manifest));
  if (stored === null) {
    throw new RegistryError('ManifestNotFound', { digest: manifest.digest });
  }
  return stored;
}

/**
 * The manifest itself if its type is allowed or it is an image; of a list, what this is of the
 * child that stands for it. Null where that child is not there. `ManifestNotFound` where a body was
 * collected since its row was read, `ManifestInvalid` where it is broken.
 */
async function descend(
  stored: StoredManifest,
  allowed: ReadonlySet<string>,
  deps: RegistryDeps,
): Promise<ParsedManifest | null> {
  const { repositoryId } = stored.info;
  let at: StoredManifest | null = stored;
  for (let depth = 0; at !== null && depth < INDEX_DEPTH_MAX; depth += 1) {
    const parsed: ParsedManifest | null = await readStored(at, deps);
    if (parsed === null) {
      throw new RegistryError('ManifestNotFound', { digest: at.info.digest });
    }
    if (parsed.kind === 'image' || allowed.has(parsed.mediaType)) {
      return parsed;
    }
    const digest = childToConvert(parsed)?.digest;
    at =
      digest === undefined
        ? null
        : await deps.database.firstAnywhere(manifestByDigestStatement({ repositoryId, digest }));
  }
  return null;
}

async function buildForm(
  image: ParsedImage,
  { repositoryId, names, deps }: { repositoryId: number; names: Schema1Names; deps: RegistryDeps },
): Promise<ParsedSchema1 | null> {
  if (!hasSchema1Form(image)) {
    return null;
  }
  const { digest } = image.config;
  const blob = await deps.database.firstAnywhere(visibleBlobStatement({ repositoryId, digest }));
  const config = await readConfig(image, blob, deps.blobStore);
  return buildSchema1(names, imageSteps(image, config), config);
}
