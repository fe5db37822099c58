import type { Digest } from '../../model/digest.ts';
import type { TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import {
  manifestPullStatisticsStatement,
  tagPullStatisticsStatement,
} from '../../storage/d1/pulls.ts';
import type { RegistryDeps } from '../deps.ts';

/** How often a manifest was pulled, by tag or by digest; the time is null while that is never. */
export interface ManifestPullStatistics {
  readonly manifestDigest: Digest;
  readonly manifestPullCount: number;
  readonly lastManifestPullMs: EpochMs | null;
}

/** How often a tag was pulled by its name, and the manifest that it is on now. */
export interface TagPullStatistics {
  readonly tagName: TagName;
  readonly tagPullCount: number;
  readonly lastTagPullMs: EpochMs | null;
  readonly currentManifestDigest: Digest;
  readonly manifestPullCount: number;
  readonly lastManifestPullMs: EpochMs | null;
}

/** Tells how often what was pulled: as far as it was reported, and cron has added it up. */
export interface PullStatistics {
  /** Of an alive tag; null: there is none of that name. One round trip. */
  readPullStatistics(
    repository: Pick<RepositoryRef, 'id'>,
    tagName: TagName,
  ): Promise<TagPullStatistics | null>;
  /** Of a manifest; null: no alive tag, hidden or not, holds such a one. One round trip. */
  readManifestPullStatistics(
    repository: Pick<RepositoryRef, 'id'>,
    digest: Digest,
  ): Promise<ManifestPullStatistics | null>;
}

export function createPullStatistics({ database, clock }: RegistryDeps): PullStatistics {
  return {
    async readPullStatistics({ id: repositoryId }, tagName) {
      const named = { repositoryId, tagName, nowMs: clock.nowMs() };
      const row = await database.firstAnywhere(tagPullStatisticsStatement(named));
      return (
        row && {
          tagName,
          tagPullCount: row.tagPullCount,
          lastTagPullMs: row.lastTagPullMs as EpochMs | null,
          currentManifestDigest: row.manifestDigest as Digest,
          manifestPullCount: row.manifestPullCount,
          lastManifestPullMs: row.lastManifestPullMs as EpochMs | null,
        }
      );
    },

    async readManifestPullStatistics({ id: repositoryId }, digest) {
      const named = { repositoryId, digest, nowMs: clock.nowMs() };
      const row = await database.firstAnywhere(manifestPullStatisticsStatement(named));
      return (
        row && {
          manifestDigest: digest,
          manifestPullCount: row.manifestPullCount,
          lastManifestPullMs: row.lastManifestPullMs as EpochMs | null,
        }
      );
    },
  };
}
