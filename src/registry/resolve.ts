import type { Bytes } from '../model/bytes.ts';
import type { Blob, Page, ShallowTag, Tag } from '../model/datatypes.ts';
import type { Digest } from '../model/digest.ts';
import { TAG_END_WARNING_SEC } from '../model/limits.ts';
import type { RepositoryName, TagName } from '../model/names.ts';
import type { ManifestInfo, RepositoryRef } from '../model/references.ts';
import { addSeconds, type EpochMs, MS_PER_SECOND } from '../model/time.ts';
import { renewLeaseStatement } from '../storage/d1/blobs.ts';
import { lowerLeaseHintByNameStatement } from '../storage/d1/gc-hints.ts';
import { repositoryTagsVersionStatement } from '../storage/d1/repositories.ts';
import {
  resolveBlobStatement,
  resolveManifestStatement,
  resolveTagStatement,
} from '../storage/d1/resolve.ts';
import type { StoredManifest } from '../storage/d1/rows.ts';
import type { RegistryDeps } from './deps.ts';
import { loadManifest } from './manifests/body.ts';
import { sendAgain } from './send-again.ts';
import { cachedTagPage } from './tags/cached-page.ts';

/** A manifest, and its bytes if they were asked for. */
export interface FoundManifest {
  readonly info: ManifestInfo;
  readonly bytes: Bytes | null;
}

interface WithBytes {
  /** Whether the manifest's bytes are wanted too. */
  readonly withBytes: boolean;
}

/**
 * The path of every pull: a repository and a thing in it, by their names, in one round trip. Each
 * method gives null if there is no such repository, and says beside the repository what was found
 * in it. A nearby replica is asked; what it does not have is asked again on the primary.
 */
export interface PullPath {
  /**
   * The alive visible tag of a name. `endsSoonMs`: when it ends, if that is within 72 hours.
   * `hasEnded`: there is none, but there was.
   */
  resolveTag(
    name: RepositoryName,
    tagName: TagName,
    options: WithBytes,
  ): Promise<{
    readonly repository: RepositoryRef;
    readonly tag: Tag | null;
    readonly manifest: FoundManifest | null;
    readonly endsSoonMs: EpochMs | null;
    readonly hasEnded: boolean;
  } | null>;
  /** The manifest of a digest, if any alive tag holds it, itself or by an index. */
  resolveManifest(
    name: RepositoryName,
    digest: Digest,
    options: WithBytes,
  ): Promise<{
    readonly repository: RepositoryRef;
    readonly manifest: FoundManifest | null;
  } | null>;
  /**
   * A page of the alive visible tags after a name (null: from the start), through the cache. Read
   * at the primary, because a client lists what it has just pushed.
   */
  resolveTagPage(
    name: RepositoryName,
    lastName: string | null,
    limit: number,
  ): Promise<{ readonly repository: RepositoryRef; readonly page: Page<ShallowTag> } | null>;
  /** The blob of a digest, if it can be seen from the repository. */
  resolveBlob(
    name: RepositoryName,
    digest: Digest,
  ): Promise<{ readonly repository: RepositoryRef; readonly blob: Blob | null } | null>;
  /**
   * The same for a caller who is about to push: answered by the primary, and what is found is
   * leased anew, so that a client which skips an upload because of the answer can rely on it.
   */
  resolveBlobForPush(
    name: RepositoryName,
    digest: Digest,
  ): Promise<{ readonly repository: RepositoryRef; readonly blob: Blob | null } | null>;
}

export function createPullPath(deps: RegistryDeps): PullPath {
  const { database, clock, settings } = deps;
  return {
    async resolveTag(name, tagName, { withBytes }) {
      const nowMs = clock.nowMs();
      const row = await database.firstAnywhere(
        resolveTagStatement({ ...name, tagName, nowMs, withBody: Number(withBytes) }),
        ({ found }) => found !== null,
      );
      if (row === null) {
        return null;
      }
      const { repository, found, hasEnded } = row;
      const manifest = found && (await loadFound(found.manifest, { withBytes, deps }));
      const tag = manifest && (found?.tag ?? null);
      return { repository, tag, manifest, endsSoonMs: tag && endsSoonMs(tag, nowMs), hasEnded };
    },

    async resolveManifest(name, digest, { withBytes }) {
      const nowMs = clock.nowMs();
      const row = await database.firstAnywhere(
        resolveManifestStatement({ ...name, digest, nowMs, withBody: Number(withBytes) }),
        ({ manifest }) => manifest !== null,
      );
      return (
        row && {
          repository: row.repository,
          manifest: row.manifest && (await loadFound(row.manifest, { withBytes, deps })),
        }
      );
    },

    async resolveTagPage(name, lastName, limit) {
      const cached = await cachedTagPage(
        { ...name, lastName, limit },
        () => database.primary.first(repositoryTagsVersionStatement({ ...name })),
        deps,
      );
      return cached && { repository: cached.version.repository, page: cached.page };
    },

    resolveBlob: (name, digest) =>
      database.firstAnywhere(
        resolveBlobStatement({ ...name, digest }),
        ({ blob }) => blob !== null,
      ),

    async resolveBlobForPush(name, digest) {
      const nowMs = clock.nowMs();
      const expiresMs = addSeconds(nowMs, settings.pushLeaseSec);
      const renewBeforeMs = nowMs + (settings.pushLeaseSec * MS_PER_SECOND) / 2;
      const [, , resolved] = await sendAgain(() =>
        database.primary.batch([
          renewLeaseStatement({ ...name, digest, nowMs, expiresMs, renewBeforeMs }),
          lowerLeaseHintByNameStatement({ ...name, expiresMs }),
          resolveBlobStatement({ ...name, digest }),
        ]),
      );
      return resolved[0] ?? null;
    },
  };
}

/** When the tag ends, if it does so within the time that a puller is warned of. */
export function endsSoonMs({ lifetimeEndMs }: Tag, nowMs: EpochMs): EpochMs | null {
  const isSoon = lifetimeEndMs !== null && lifetimeEndMs <= addSeconds(nowMs, TAG_END_WARNING_SEC);
  return isSoon ? lifetimeEndMs : null;
}

/** What a pull is given of a manifest; null if it was collected since its row was read. */
export async function loadFound(
  stored: StoredManifest,
  { withBytes, deps }: WithBytes & { deps: RegistryDeps },
): Promise<FoundManifest | null> {
  if (!withBytes) {
    return { info: stored.info, bytes: null };
  }
  const manifest = await loadManifest(stored, deps);
  return manifest && { info: stored.info, bytes: manifest.bytes };
}
