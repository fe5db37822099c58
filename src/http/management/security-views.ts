import { z } from '@hono/zod-openapi';

import { formatRepositoryName } from '../../model/names.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import {
  SCAN_RESULTS,
  type ScannedManifest,
  SECURITY_STATUSES,
  type SecurityState,
  withoutVulnerabilities,
} from '../../model/security.ts';
import { digestText, nextPage, repositoryNameText, rfc3339 } from './schemas.ts';

/** What scanners send and read, in the form of Quay's reports; what they leave out stays out. */

const text = z.string().nullish();

const vulnerability = z
  .strictObject({
    Severity: z.string().openapi({ example: 'High' }),
    Name: z.string().min(1).openapi({ example: 'CVE-2026-1234' }),
    NamespaceName: text,
    Link: text,
    FixedBy: text.openapi({ description: 'The first version without it; empty: there is none.' }),
    Description: text,
    Metadata: z.record(z.string(), z.unknown()).nullish(),
  })
  .openapi('Vulnerability');

const feature = z
  .strictObject({
    Name: z.string().min(1).openapi({ example: 'openssl' }),
    Version: text.openapi({ example: '3.0.11-1' }),
    VersionFormat: text,
    NamespaceName: text,
    AddedBy: text.openapi({ description: 'The layer that brought it.' }),
    BaseScores: z.array(z.number()).nullish(),
    CVEIds: z.array(z.string()).nullish(),
    Vulnerabilities: z.array(vulnerability).nullish(),
  })
  .openapi('Feature');

const report = z
  .strictObject({
    Layer: z.strictObject({
      Name: text,
      ParentName: text,
      NamespaceName: text,
      IndexedByVersion: z.int().min(0).nullish(),
      Features: z.array(feature),
    }),
  })
  .openapi('SecurityReport');

export const scan = z
  .discriminatedUnion('status', [
    z.strictObject({ status: z.literal('scanned'), data: report }),
    z.strictObject({
      status: z.enum(SCAN_RESULTS).exclude(['scanned']),
      data: z.null().optional(),
    }),
  ])
  .openapi('Scan');

export const securityView = z
  .strictObject({
    status: z.enum(SECURITY_STATUSES),
    data: report.nullable().openapi({ description: 'Null unless it was scanned.' }),
  })
  .openapi('SecurityStatus');

export function toSecurityView(
  { status, report: said }: SecurityState,
  { vulnerabilities }: { readonly vulnerabilities: boolean },
): z.infer<typeof securityView> {
  const shown = said === null || vulnerabilities ? said : withoutVulnerabilities(said);
  // It has the shape above, for it was held against it when it came.
  return { status, data: shown as z.infer<typeof report> | null };
}

export const scanQueueView = z
  .strictObject({
    manifests: z.array(
      z.strictObject({
        repository: repositoryNameText,
        manifest_digest: digestText,
        since: rfc3339.openapi({
          description: 'When it was scanned; of one that is queued, when it was pushed.',
        }),
      }),
    ),
    next_page: nextPage,
  })
  .openapi('ScanQueue');

export function toScanViews(
  manifests: readonly ScannedManifest[],
): z.infer<typeof scanQueueView>['manifests'] {
  return manifests.map(({ repository, digest, sinceMs }) => ({
    repository: formatRepositoryName(repository),
    manifest_digest: digest,
    since: formatRfc3339(sinceMs) ?? '',
  }));
}
