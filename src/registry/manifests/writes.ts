import { isRegistryError, RegistryError, type RegistryErrorCode } from '../../model/errors.ts';
import { parseTagName } from '../../model/names.ts';
import { addSeconds } from '../../model/time.ts';
import { withBytes } from '../../storage/d1/rows.ts';
import type { RegistryDeps } from '../deps.ts';
import type { ManifestWrites } from '../interface.ts';
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
    async createManifestAndRetargetTag(repository, parsed, tagName, options = {}) {
      return nullUnless(options.raiseOnError, async () => {
        if (parseTagName(tagName) === null) {
          throw new RegistryError('TagNameInvalid', { tagName });
        }
        const nowMs = deps.clock.nowMs();
        const hold = { kind: 'tag', tagName } as const;
        const pushed = await pushManifest({ repository, parsed, hold, nowMs }, deps);
        if (pushed.tag === null) {
          throw new Error(`the batch that tagged '${tagName}' does not show the tag`);
        }
        const { tag, created } = pushed;
        return { manifest: withBytes(pushed.manifest, parsed.bytes), tag, created };
      });
    },

    async createManifestWithTempTag(repository, parsed, expirationSec, options = {}) {
      if (!(expirationSec > 0)) {
        throw new RangeError('a temporary tag lives for one second at least');
      }
      return nullUnless(options.raiseOnError, async () => {
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

async function nullUnless<Result>(
  raiseOnError: boolean | undefined,
  write: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return await write();
  } catch (error) {
    if (!raiseOnError && isRegistryError(error) && EXPECTED.has(error.code)) {
      return null;
    }
    throw error;
  }
}
