import type { Digest } from '../../model/digest.ts';
import {
  PLAN_BLOBS_MAX,
  PLAN_LEASES_MAX,
  PLAN_MANIFESTS_MAX,
  PLAN_REPOSITORIES_MAX,
  PLAN_ROUNDS_MAX,
  PLAN_TAGS_MAX,
} from '../../model/limits.ts';
import type { TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { blobCandidatesStatement } from '../../storage/d1/collect-blobs.ts';
import { manifestCandidatesStatement } from '../../storage/d1/collect-manifests.ts';
import {
  dueRepositoriesStatement,
  nextFrontierStatement,
  type PlannedBlobRow,
  plannedBlobsStatement,
  type PlannedLeaseRow,
  plannedLeasesStatement,
  type PlannedManifestRow,
  plannedManifestsStatement,
  type PlannedTagRow,
  plannedTagsStatement,
} from '../../storage/d1/collect-plan.ts';
import type { RegistryDeps } from '../deps.ts';
import { lockedMayGo } from './steps.ts';

/** What a plan lists at most; what lies beyond is not in it. */
export interface PlanLimits {
  readonly repositories: number;
  readonly tags: number;
  readonly leases: number;
  readonly manifests: number;
  readonly blobs: number;
  /** Steps down from an index to its children, or from a referrer to its subject. */
  readonly rounds: number;
}

/** A generation of a tag that would go. */
export interface PlannedTag {
  readonly repositoryId: number;
  /** Null for a temporary tag. */
  readonly tagName: TagName | null;
  readonly digest: Digest;
  readonly endedMs: EpochMs;
}

/** What the next run would remove. */
export interface CollectionPlan {
  readonly tags: readonly PlannedTag[];
  readonly manifests: readonly {
    readonly repositoryId: number;
    readonly digest: Digest;
    readonly sizeBytes: number;
  }[];
  /** Leases that are over, each with the digest of its blob. */
  readonly leases: readonly { readonly repositoryId: number; readonly digest: Digest }[];
  readonly blobs: readonly { readonly digest: Digest; readonly sizeBytes: number }[];
  /** Bytes of those blobs. */
  readonly freedBytes: number;
  /**
   * What the run would remove besides, because it is not in the repository that was asked for: a
   * run begins with what lost its last reference earlier, wherever that was.
   */
  readonly elsewhere: {
    readonly manifests: number;
    readonly blobs: number;
    readonly freedBytes: number;
  };
  /** False if a limit was reached: a run without limits would remove all this, and more. */
  readonly isComplete: boolean;
}

/** Tells what garbage collection would do. */
export interface CollectionPlanner {
  /**
   * What `collectRepository` would remove now, or for null what `collectGarbage` would, if nothing
   * changed until then and its limits allowed; writes nothing. One round trip for what is over and
   * one for the blobs, one more for each step down, and for null one more for the repositories.
   */
  planCollection(
    repository: RepositoryRef | null,
    limits?: Partial<PlanLimits>,
  ): Promise<CollectionPlan>;
}

const DEFAULT_LIMITS: PlanLimits = {
  repositories: PLAN_REPOSITORIES_MAX,
  tags: PLAN_TAGS_MAX,
  leases: PLAN_LEASES_MAX,
  manifests: PLAN_MANIFESTS_MAX,
  blobs: PLAN_BLOBS_MAX,
  rounds: PLAN_ROUNDS_MAX,
};

export function createCollectionPlanner(deps: RegistryDeps): CollectionPlanner {
  return {
    async planCollection(repository, limits = {}) {
      const planning = new Planning(deps, { ...DEFAULT_LIMITS, ...limits });
      const scope = repository === null ? await planning.findDue() : [repository.id];
      const top = await planning.findEnded(scope);
      const manifests = await planning.followManifests(top);
      const blobs = await planning.findBlobs(top, manifests, repository?.id ?? null);
      const isOwn = ({ repositoryId }: PlannedManifestRow) =>
        repository === null || repositoryId === repository.id;
      const own = blobs.filter((row) => row.isOwn === 1);
      const foreign = blobs.filter((row) => row.isOwn === 0);
      return {
        tags: top.tags.map(toPlannedTag),
        manifests: manifests.filter(isOwn).map(toPlannedManifest),
        leases: top.leases.map(toPlannedLease),
        blobs: own.map(toPlannedBlob),
        freedBytes: sumOfBytes(own),
        elsewhere: {
          manifests: manifests.filter((row) => !isOwn(row)).length,
          blobs: foreign.length,
          freedBytes: sumOfBytes(foreign),
        },
        isComplete: planning.isComplete,
      };
    },
  };
}

/** What is over by itself, and what an earlier run or a deletion left to look at. */
interface Top {
  readonly tags: readonly PlannedTagRow[];
  readonly leases: readonly PlannedLeaseRow[];
  readonly manifestIds: readonly number[];
  readonly blobIds: readonly number[];
}

/** One plan in the making. Each list is read to one more than its limit, to know that it ends. */
class Planning {
  readonly #deps: RegistryDeps;
  readonly #limits: PlanLimits;
  readonly #nowMs: EpochMs;
  isComplete = true;

  constructor(deps: RegistryDeps, limits: PlanLimits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#nowMs = deps.clock.nowMs();
  }

  async findDue(): Promise<readonly number[]> {
    const { repositories } = this.#limits;
    const statement = dueRepositoriesStatement({ nowMs: this.#nowMs, limit: repositories + 1 });
    const rows = await this.#deps.database.primary.all(statement);
    return this.#cut(rows, repositories).map(({ repositoryId }) => repositoryId);
  }

  async findEnded(repositoryIds: readonly number[]): Promise<Top> {
    const { tags, leases, manifests, blobs } = this.#limits;
    const scope = { repositoryIds: JSON.stringify(repositoryIds), nowMs: this.#nowMs };
    const locked = lockedMayGo(this.#deps.settings);
    const batch = new Batch();
    const tagSlot = batch.add(
      plannedTagsStatement({ ...scope, lockedMayGo: locked, limit: tags + 1 }),
    );
    const leaseSlot = batch.add(plannedLeasesStatement({ ...scope, limit: leases + 1 }));
    const manifestSlot = batch.add(manifestCandidatesStatement({ limit: manifests + 1 }));
    const blobSlot = batch.add(blobCandidatesStatement({ limit: blobs + 1 }));
    const results = await batch.run(this.#deps.database.primary);
    const left = this.#cut(results.rowsOf(manifestSlot), manifests);
    return {
      tags: this.#cut(results.rowsOf(tagSlot), tags),
      leases: this.#cut(results.rowsOf(leaseSlot), leases),
      manifestIds: left.map(({ manifestId }) => manifestId),
      blobIds: this.#cut(results.rowsOf(blobSlot), blobs).map(({ blobId }) => blobId),
    };
  }

  /**
   * From what lost its tags down to children and subjects. One that another parent or referrer still
   * holds is met again when that one goes, so at the end all that could go is found.
   */
  async followManifests({ tags, manifestIds }: Top): Promise<readonly PlannedManifestRow[]> {
    const limit = this.#limits.manifests;
    const tagIds = JSON.stringify(tags.map(({ tagId }) => tagId));
    const garbage = new Map<number, PlannedManifestRow>();
    let frontier = [...new Set([...manifestIds, ...tags.map(({ manifestId }) => manifestId)])];
    for (let round = 0; frontier.length > 0; round += 1) {
      if (round === this.#limits.rounds || garbage.size >= limit) {
        this.isComplete = false;
        break;
      }
      const values = {
        frontierIds: JSON.stringify(frontier),
        garbageIds: JSON.stringify([...garbage.keys()]),
        tagIds,
      };
      const batch = new Batch();
      const foundSlot = batch.add(plannedManifestsStatement(values));
      const nextSlot = batch.add(nextFrontierStatement({ ...values, limit: limit + 1 }));
      const results = await batch.run(this.#deps.database.primary);
      for (const row of results.rowsOf(foundSlot)) {
        garbage.set(row.manifestId, row);
      }
      frontier = this.#cut(results.rowsOf(nextSlot), limit).map(({ manifestId }) => manifestId);
    }
    return [...garbage.values()];
  }

  async findBlobs(
    { leases, blobIds }: Top,
    garbage: readonly PlannedManifestRow[],
    repositoryId: number | null,
  ): Promise<readonly PlannedBlobRow[]> {
    const statement = plannedBlobsStatement({
      blobIds: JSON.stringify([...blobIds, ...leases.map(({ blobId }) => blobId)]),
      garbageIds: JSON.stringify(garbage.map(({ manifestId }) => manifestId)),
      leases: JSON.stringify(leases.map((lease) => `${lease.repositoryId}-${lease.blobId}`)),
      repositoryId,
      limit: this.#limits.blobs + 1,
    });
    return this.#cut(await this.#deps.database.primary.all(statement), this.#limits.blobs);
  }

  #cut<Row>(rows: readonly Row[], limit: number): readonly Row[] {
    this.isComplete &&= rows.length <= limit;
    return rows.slice(0, limit);
  }
}

const sumOfBytes = (rows: readonly { readonly sizeBytes: number }[]): number =>
  rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

const toPlannedTag = ({ repositoryId, tagName, hidden, digest, endedMs }: PlannedTagRow) => ({
  repositoryId,
  tagName: hidden === 1 ? null : (tagName as TagName),
  digest: digest as Digest,
  endedMs: endedMs as EpochMs,
});

const toPlannedManifest = ({ repositoryId, digest, sizeBytes }: PlannedManifestRow) => ({
  repositoryId,
  digest: digest as Digest,
  sizeBytes,
});

const toPlannedLease = ({ repositoryId, digest }: PlannedLeaseRow) => ({
  repositoryId,
  digest: digest as Digest,
});

const toPlannedBlob = ({ digest, sizeBytes }: PlannedBlobRow) => ({
  digest: digest as Digest,
  sizeBytes,
});
