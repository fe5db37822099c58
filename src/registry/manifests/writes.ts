import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { Manifest, Tag } from '../../model/datatypes.ts';
import { RegistryError, type RegistryErrorCode } from '../../model/errors.ts';
import { parseTagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { addSeconds } from '../../model/time.ts';
import { withBytes } from '../../storage/d1/rows.ts';
import type { RegistryDeps } from '../deps.ts';
import type { ManifestWrites } from '../interface.ts';
import { nullUnless } from '../null-unless.ts';
import { pushManifest } from './push.ts';

/** The refusals that a caller may have as `null` instead. */
const EXPECTED: ReadonlySet<RegistryErrorCode> = new Set<RegistryErrorCode>([
  'TagNameInvalid',
  'ManifestInvalid',
  'BlobUnknown',
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
        const nowMs = deps.clock.nowMs();
        // A referrer is reached through its subject, not through a tag, so nothing ends it.
        const endMs = parsed.subject === null ? addSeconds(nowMs, expirationSec) : null;
        const hold = { kind: 'temporary', endMs } as const;
        const { manifest } = await pushManifest({ repository, parsed, hold, nowMs }, deps);
        return withBytes(manifest, parsed.bytes);
      });
    },
  };
}

/** Stores manifests under several names at once. */
export interface TaggedPushes {
  /**
   * Stores a manifest and moves every one of these tags to it, all or nothing.
   * Errors: those of `createManifestAndRetargetTag`.
   */
  createManifestAndRetargetTags(
    repository: RepositoryRef,
    manifest: ParsedManifest,
    tagNames: readonly string[],
  ): Promise<{ readonly manifest: Manifest; readonly tags: readonly Tag[] }>;
}

export function createTaggedPushes(deps: RegistryDeps): TaggedPushes {
  return {
    createManifestAndRetargetTags: (repository, parsed, tagNames) =>
      pushTagged(repository, parsed, { tagNames: [...new Set(tagNames)], deps }),
  };
}

async function pushTagged(
  repository: RepositoryRef,
  parsed: ParsedManifest,
  { tagNames, deps }: { tagNames: readonly string[]; deps: RegistryDeps },
): Promise<{ manifest: Manifest; tags: readonly Tag[]; created: boolean }> {
  const illegal = tagNames.find((tagName) => parseTagName(tagName) === null);
  if (illegal !== undefined) {
    throw new RegistryError('TagNameInvalid', { tagName: illegal });
  }
  const nowMs = deps.clock.nowMs();
  const hold = { kind: 'tags', tagNames } as const;
  const { manifest, tags, created } = await pushManifest({ repository, parsed, hold, nowMs }, deps);
  return { manifest: withBytes(manifest, parsed.bytes), tags, created };
}
