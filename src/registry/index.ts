import { createAccessJudge } from './accounts/access.ts';
import { createAppTokens } from './accounts/app-tokens.ts';
import { createFederation } from './accounts/federation.ts';
import { createIssuerKeys } from './accounts/issuer-keys.ts';
import { createLoginBrakes } from './accounts/login-brakes.ts';
import { createMembers } from './accounts/members.ts';
import { createNamespaces } from './accounts/namespaces.ts';
import { createRepositoryRights } from './accounts/rights.ts';
import { createRobots } from './accounts/robots.ts';
import { createUsers } from './accounts/users.ts';
import { keepAnswersByDigest } from './answers-by-digest.ts';
import { createAuditLogReads, createAuditRecorder } from './audit-log.ts';
import { createBlobBytes } from './blob-bytes.ts';
import {
  createBlobDeletes,
  createBlobMounts,
  createBlobReads,
  createBlobSources,
  createCachedBlobReads,
} from './blobs.ts';
import { createDeletions } from './deletions.ts';
import type { RegistryDeps } from './deps.ts';
import { createForgetting } from './forgetting.ts';
import { createAuditReads, createGarbageAudit } from './garbage/audit.ts';
import { createGarbageCollector, createGarbageFinder } from './garbage/collect.ts';
import { createGarbageLeases } from './garbage/lease.ts';
import { createCollectionPlanner } from './garbage/plan.ts';
import { createNamespacePurge } from './garbage/purge-namespaces.ts';
import { createRepositoryPurge } from './garbage/purge.ts';
import { createRemovalReads } from './garbage/removals.ts';
import { createStaleUploads } from './garbage/stale-uploads.ts';
import { createTombstoneDrain } from './garbage/tombstones.ts';
import { createExplanations } from './garbage/why.ts';
import { createHealthChecks } from './health.ts';
import { createImports } from './imports/imports.ts';
import { createImportRuns } from './imports/runs.ts';
import type { RegistryDataInterface } from './interface.ts';
import { createManifestLabels } from './labels.ts';
import { createLayerReads } from './layers.ts';
import { createLegacyImageReads } from './legacy-images.ts';
import { createChildReads } from './manifests/children.ts';
import { createManifestConversion } from './manifests/conversion.ts';
import { createManifestLookups } from './manifests/lookups.ts';
import { createManifestPushes, createManifestWrites } from './manifests/writes.ts';
import { createNamespaceReads, createNamespaceSettings } from './namespaces.ts';
import { createNotificationDeliveries } from './notifications/deliveries.ts';
import { createEndingTags } from './notifications/ending-tags.ts';
import { createNotifications } from './notifications/notifications.ts';
import { createPullRecorder } from './pulls/record.ts';
import { createPullRollUp } from './pulls/roll-up.ts';
import { createPullStatistics } from './pulls/statistics.ts';
import { createQuotas } from './quota.ts';
import { createReferrers } from './referrers.ts';
import { createCachedRegions, createRegionRulesWrites } from './regions.ts';
import {
  createCatalog,
  createRepositoryChanges,
  createRepositoryProvisioning,
  createRepositoryReads,
  createRepositoryStates,
} from './repositories.ts';
import { createRepositorySearch } from './repository-search.ts';
import { createPullPath } from './resolve.ts';
import { createSecurityReports, createSecurityStatuses } from './security.ts';
import { createTagHistory } from './tags/history.ts';
import { createManifestLocks } from './tags/immutability.ts';
import { createImmutabilityPolicies } from './tags/policies.ts';
import { createTagReads } from './tags/reads.ts';
import { createReleases } from './tags/releases.ts';
import { createRetentionPolicies } from './tags/retention-policies.ts';
import { createRetentionPlans, createRetentionRuns } from './tags/retention.ts';
import { createTagSweep } from './tags/sweep.ts';
import { createTagWrites } from './tags/writes.ts';
import { createTimeTravel } from './time-travel.ts';
import { createBlobUploads } from './uploads/sessions.ts';
import { createBlobUploader } from './uploads/uploader.ts';

/**
 * The registry over its stores, from one factory per concept. Making one is cheap; a request makes
 * its own.
 */
export function createRegistry(deps: RegistryDeps): RegistryDataInterface {
  return {
    ...createRepositoryReads(deps),
    ...createNamespaceReads(deps),
    ...createTagReads(deps),
    ...createTagHistory(deps),
    ...createTagWrites(deps),
    ...createManifestLookups(deps),
    ...createManifestConversion(deps),
    ...createManifestWrites(deps),
    ...createLayerReads(deps),
    ...createLegacyImageReads(deps),
    ...createBlobReads(deps),
    ...createCachedBlobReads(deps),
    ...createBlobMounts(deps),
    ...createBlobUploads(deps),
    ...createManifestLabels(deps),
    ...createGarbageFinder(deps),
    ...createSecurityReports(deps),
    ...createCachedRegions(deps),
  };
}

/** What the endpoints need beside the interface. */
export type RegistryOperations = ReturnType<typeof createRegistryOperations>;

/** The operations that stand beside the interface, from the same concepts. */
export function createRegistryOperations(deps: RegistryDeps) {
  const pullPath = createPullPath(deps);
  return {
    ...pullPath,
    ...keepAnswersByDigest(pullPath, deps),
    ...createTimeTravel(deps),
    ...createManifestPushes(deps),
    ...createManifestLocks(deps),
    ...createChildReads(deps),
    ...createReferrers(deps),
    ...createRepositoryProvisioning(deps),
    ...createRepositoryChanges(deps),
    ...createCatalog(deps),
    ...createRepositorySearch(deps),
    ...createRepositoryStates(deps),
    ...createDeletions(deps),
    ...createBlobBytes(deps),
    ...createBlobSources(deps),
    ...createBlobDeletes(deps),
    ...createBlobUploader(deps),
    ...createImmutabilityPolicies(deps),
    ...createReleases(deps),
    ...createRetentionPolicies(deps),
    ...createRetentionPlans(deps),
    ...createRegionRulesWrites(deps),
    ...createNamespaceSettings(deps),
    ...createPullRecorder(deps),
    ...createPullStatistics(deps),
    ...createQuotas(deps),
    ...createSecurityStatuses(deps),
    ...createExplanations(deps),
    ...createCollectionPlanner(deps),
    ...createGarbageCollector(deps),
    ...createRemovalReads(deps),
    ...createAccessJudge(deps),
    ...createFederation(deps),
    ...createIssuerKeys(deps),
    ...createNamespaces(deps),
    ...createUsers(deps),
    ...createAppTokens(deps),
    ...createRobots(deps),
    ...createMembers(deps),
    ...createRepositoryRights(deps),
    ...createLoginBrakes(deps),
    ...createAuditRecorder(deps),
    ...createAuditLogReads(deps),
    ...createAuditReads(deps),
    ...createHealthChecks(deps),
    ...createImports(deps),
    ...createNotifications(deps),
  };
}

/** What clears up behind the registry's users. */
export type Housekeeping = ReturnType<typeof createHousekeeping>;

/** The bounded, resumable steps that cron runs; no answer to a user depends on them. */
export function createHousekeeping(deps: RegistryDeps) {
  return {
    ...createGarbageLeases(deps),
    ...createGarbageCollector(deps),
    ...createTombstoneDrain(deps),
    ...createStaleUploads(deps),
    ...createTagSweep(deps),
    ...createForgetting(deps),
    ...createRetentionRuns(deps),
    ...createPullRollUp(deps),
    ...createNamespacePurge(deps),
    ...createRepositoryPurge(deps),
    ...createGarbageAudit(deps),
    ...createImportRuns(deps),
    ...createNotificationDeliveries(deps),
    ...createEndingTags(deps),
  };
}
