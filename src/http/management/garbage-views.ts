import { z } from '@hono/zod-openapi';

import type { Digest } from '../../model/digest.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import type { AuditResult } from '../../registry/garbage/audit.ts';
import type { CollectionReport } from '../../registry/garbage/collect.ts';
import type { CollectionPlan } from '../../registry/garbage/plan.ts';
import type { Removal } from '../../registry/garbage/removals.ts';
import type { KeptReason, Standing } from '../../registry/garbage/why.ts';
import { digestText, rfc3339, tagNameText } from './schemas.ts';

/** What the garbage endpoints answer. */

const count = z.int().min(0);

const reasonView = z
  .strictObject({
    kind: z.enum([
      'tag',
      'time_machine',
      'locked_tag',
      'pulled',
      'temporary_tag',
      'pin',
      'index',
      'referrer',
      'manifest',
      'lease',
      'other_repositories',
      'shared_blob',
      'disabled_namespace',
    ]),
    name: tagNameText.optional().openapi({ description: 'The name of the tag.' }),
    digest: digestText.optional().openapi({ description: 'The manifest that holds it.' }),
    count: count.optional().openapi({ description: 'How many other repositories hold it.' }),
    until: rfc3339.nullable().openapi({ description: 'Null: it does not end by itself.' }),
  })
  .openapi('KeptReason');

export const standingView = z
  .strictObject({
    digest: digestText,
    kept: z.boolean(),
    reasons: z.array(reasonView),
    more_reasons: count.openapi({ description: 'How many reasons more are known.' }),
    goes_at: rfc3339.nullable().optional().openapi({
      description: 'When the last reason ends; null if one does not, or if not all were read.',
    }),
    removed: z
      .strictObject({ at: rfc3339, reason: z.string() })
      .optional()
      .openapi({ description: 'It is gone: since when and why.' }),
  })
  .openapi('Standing');

export function toStandingView(digest: Digest, standing: Standing): z.infer<typeof standingView> {
  switch (standing.state) {
    case 'kept':
      return {
        digest,
        kept: true,
        reasons: standing.reasons.map(toReasonView),
        more_reasons: standing.moreReasons,
        goes_at: timeOrNull(standing.goesAtMs),
      };
    case 'garbage':
      return {
        digest,
        kept: false,
        reasons: [],
        more_reasons: 0,
        goes_at: timeOrNull(standing.goesAtMs),
      };
    case 'removed':
      return {
        digest,
        kept: false,
        reasons: [],
        more_reasons: 0,
        removed: { at: time(standing.removedMs), reason: standing.reason },
      };
  }
}

function toReasonView(reason: Readonly<KeptReason>): z.infer<typeof reasonView> {
  return {
    kind: reason.kind,
    ...('tagName' in reason ? { name: reason.tagName } : {}),
    ...('digest' in reason ? { digest: reason.digest } : {}),
    ...('count' in reason ? { count: reason.count } : {}),
    until: timeOrNull(reason.untilMs),
  };
}

export const planView = z
  .strictObject({
    tags: count,
    manifests: count,
    blobs: count,
    bytes: count.openapi({ description: 'What R2 will be asked to delete.' }),
    complete: z.boolean().openapi({ description: 'False: there is more than a plan lists.' }),
    items: z.array(
      z.strictObject({
        kind: z.enum(['tag', 'manifest', 'lease', 'blob']),
        digest: digestText,
        name: tagNameText.nullable().optional(),
        bytes: count.optional(),
      }),
    ),
  })
  .openapi('CollectionPlan');

export function toPlanView(plan: CollectionPlan): z.infer<typeof planView> {
  return {
    tags: plan.tags.length,
    manifests: plan.manifests.length + plan.elsewhere.manifests,
    blobs: plan.blobs.length + plan.elsewhere.blobs,
    bytes: plan.freedBytes + plan.elsewhere.freedBytes,
    complete: plan.isComplete,
    items: [
      ...plan.tags.map(({ tagName, digest }) => ({ kind: 'tag' as const, digest, name: tagName })),
      ...plan.manifests.map(({ digest, sizeBytes }) => ({
        kind: 'manifest' as const,
        digest,
        bytes: sizeBytes,
      })),
      ...plan.leases.map(({ digest }) => ({ kind: 'lease' as const, digest })),
      ...plan.blobs.map(({ digest, sizeBytes }) => ({
        kind: 'blob' as const,
        digest,
        bytes: sizeBytes,
      })),
    ],
  };
}

export const collectionView = z
  .strictObject({
    removed: z.strictObject({
      tags: count,
      manifests: count,
      leases: count,
      blobs: count,
      bytes: count,
    }),
    more: z.boolean().openapi({ description: 'Whether the run stopped at its limits.' }),
  })
  .openapi('Collection');

export function toCollectionView(report: CollectionReport): z.infer<typeof collectionView> {
  const { tags, manifests, leases, blobs, freedBytes, isFinished } = report;
  return { removed: { tags, manifests, leases, blobs, bytes: freedBytes }, more: !isFinished };
}

export const removalView = z
  .strictObject({
    kind: z.enum(['tag', 'manifest', 'blob']),
    reason: z.enum(['window_passed', 'unreferenced', 'repository_deleted']),
    removed_at: rfc3339,
    digest: digestText,
    bytes: count.nullable(),
    name: tagNameText.nullable(),
    ended_at: rfc3339.nullable(),
  })
  .openapi('Removal');

export function toRemovalView(removal: Removal): z.infer<typeof removalView> {
  return {
    kind: removal.kind,
    reason: removal.reason,
    removed_at: time(removal.removedMs),
    digest: removal.digest,
    bytes: removal.sizeBytes,
    name: removal.tagName,
    ended_at: timeOrNull(removal.endedMs),
  };
}

export const auditView = z
  .strictObject({
    began_at: rfc3339,
    ended_at: rfc3339.nullable(),
    checked: z.strictObject({
      repositories: count,
      manifests: count,
      blobs: count,
      objects: count,
      sampled_blobs: count,
    }),
    found: z.strictObject({
      late_hints: count,
      unlisted_manifests: count,
      unlisted_blobs: count,
      unowned_objects: count,
      damaged_blobs: count,
    }),
    findings: z
      .array(z.strictObject({ kind: z.string(), subject: z.string() }))
      .openapi({ description: 'The names of some of what was found.' }),
  })
  .openapi('Audit');

export function toAuditView(audit: AuditResult): z.infer<typeof auditView> {
  const { checked, found } = audit;
  return {
    began_at: time(audit.beganMs),
    ended_at: timeOrNull(audit.endedMs),
    checked: {
      repositories: checked.repositories,
      manifests: checked.manifests,
      blobs: checked.blobs,
      objects: checked.objects,
      sampled_blobs: checked.sampledBlobs,
    },
    found: {
      late_hints: found.lateHints,
      unlisted_manifests: found.unlistedManifests,
      unlisted_blobs: found.unlistedBlobs,
      unowned_objects: found.unownedObjects,
      damaged_blobs: found.damagedBlobs,
    },
    findings: audit.findings.map(({ kind, subject }) => ({ kind, subject })),
  };
}

const time = (timeMs: number): string => formatRfc3339(timeMs) ?? '';
const timeOrNull = (timeMs: number | null): string | null =>
  timeMs === null ? null : formatRfc3339(timeMs);
