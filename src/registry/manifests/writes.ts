import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { Manifest, Tag } from '../../model/datatypes.ts';
import { RegistryError, type RegistryErrorCode } from '../../model/errors.ts';
import { parseTagName } from '../../model/names.ts';
import type { Quota } from '../../model/quota.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { addSeconds } from '../../model/time.ts';
import { withBytes } from '../../storage/d1/rows.ts';
import type { RegistryDeps } from '../deps.ts';
import type { ManifestWrites } from '../interface.ts';
import { nullUnless } from '../null-unless.ts';
import { type Pushed, pushManifest } from './push.ts';

/** The refusals that a caller may have as `null` instead. */
const EXPECTED: ReadonlySet<RegistryErrorCode> = new Set<RegistryErrorCode>([
  'TagNameInvalid',
  'ManifestInvalid',
  'BlobUnknown',
  'QuotaExceeded',
  'TagImmutable',
  'RetargetFailed',
]);

/** Stores manifests. */
export function createManifestWrites(deps: RegistryDeps): ManifestWrites {
  return {
    async createManifestAndRetargetTag(repository, parsed, tagName, { raiseOnError } = {}) {
      return nullUnless(raiseOnError, EXPECTED, async () => {
        const { manifest, tags, created } = await pushTagged(repository, parsed, {
          tagNames: [tagName],
          deps,
        });
        const [tag] = tags;
        if (tag === undefined) {
          throw new Error(`the batch that tagged '${tagName}' does not show the tag`);
        }
        return { manifest, tag, created };
      });
    },

    async createManifestWithTempTag(repository, parsed, expirationSec, options = {}) {
      if (!(expirationSec > 0)) {
        throw new RangeError('a temporary tag lives for one second at least');
      }
      return nullUnless(options.raiseOnError, EXPECTED, async () => {
        const { manifest } = await pushByDigest(repository, parsed, { expirationSec, deps });
        return withBytes(manifest, parsed.bytes);
      });
    },
  };
}

/** What a client's push is answered from. */
interface Stored {
  /** The quota of the namespace with this push, if that is above its warning; else null. */
  readonly quotaToWarnOf: Quota | null;
}

/** Stores manifests as clients push them. */
export interface ManifestPushes {
  /**
   * Stores a manifest and moves every one of these tags to it, all or nothing.
   * Errors: those of `createManifestAndRetargetTag`.
   */
  createManifestAndRetargetTags(
    repository: RepositoryRef,
    manifest: ParsedManifest,
    tagNames: readonly string[],
  ): Promise<Stored & { readonly manifest: Manifest; readonly tags: readonly Tag[] }>;
  /**
   * Stores a manifest that no tag names: what `createManifestWithTempTag` does.
   * Errors: those of that.
   */
  createManifestByDigest(
    repository: RepositoryRef,
    manifest: ParsedManifest,
    expirationSec: number,
  ): Promise<Stored>;
}

export function createManifestPushes(deps: RegistryDeps): ManifestPushes {
  return {
    createManifestAndRetargetTags: (repository, parsed, tagNames) =>
      pushTagged(repository, parsed, { tagNames: [...new Set(tagNames)], deps }),
    createManifestByDigest: (repository, parsed, expirationSec) =>
      pushByDigest(repository, parsed, { expirationSec, deps }),
  };
}

async function pushByDigest(
  repository: RepositoryRef,
  parsed: ParsedManifest,
  { expirationSec, deps }: { expirationSec: number; deps: RegistryDeps },
): Promise<Pushed> {
  const nowMs = deps.clock.nowMs();
  // A referrer is reached through its subject, not through a tag, so nothing ends it.
  const endMs = parsed.subject === null ? addSeconds(nowMs, expirationSec) : null;
  return pushManifest({ repository, parsed, hold: { kind: 'temporary', endMs }, nowMs }, deps);
}

async function pushTagged(
  repository: RepositoryRef,
  parsed: ParsedManifest,
  { tagNames, deps }: { tagNames: readonly string[]; deps: RegistryDeps },
): Promise<Pushed & { manifest: Manifest }> {
  const illegal = tagNames.find((tagName) => parseTagName(tagName) === null);
  if (illegal !== undefined) {
    throw new RegistryError('TagNameInvalid', { tagName: illegal });
  }
  const nowMs = deps.clock.nowMs();
  const hold = { kind: 'tags', tagNames } as const;
  const pushed = await pushManifest({ repository, parsed, hold, nowMs }, deps);
  return { ...pushed, manifest: withBytes(pushed.manifest, parsed.bytes) };
}
