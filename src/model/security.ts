import type { Digest } from './digest.ts';
import type { RepositoryName } from './names.ts';
import type { EpochMs } from './time.ts';

/** What a scanner makes of a manifest, in Quay's words. */
export const SECURITY_STATUSES = [
  'queued',
  'scanned',
  'failed',
  'unsupported',
  'manifest_layer_too_large',
] as const;
export type SecurityStatus = (typeof SECURITY_STATUSES)[number];

/** What a scanner came to: all but that it has not been there yet. */
export const SCAN_RESULTS = [
  'scanned',
  'failed',
  'unsupported',
  'manifest_layer_too_large',
] as const;
export type ScanResult = (typeof SCAN_RESULTS)[number];

/** A report in the form that Quay's clients read. What a scanner does not say is not there. */
export interface SecurityReport {
  readonly Layer: {
    readonly Features: readonly ReportedFeature[];
    readonly [more: string]: unknown;
  };
}

/** A package that was found in an image. */
export interface ReportedFeature {
  readonly Name: string;
  readonly Vulnerabilities?: readonly ReportedVulnerability[] | null | undefined;
  readonly [more: string]: unknown;
}

export interface ReportedVulnerability {
  readonly Name: string;
  readonly Severity: string;
  readonly Link?: string | null | undefined;
  readonly FixedBy?: string | null | undefined;
  readonly Description?: string | null | undefined;
  readonly [more: string]: unknown;
}

/** How far a scanner is with a manifest, and what it said of it. */
export interface SecurityState {
  readonly status: SecurityStatus;
  /** Null unless it was scanned. */
  readonly report: SecurityReport | null;
}

/** A manifest that a scanner has, or had, to look at. */
export interface ScannedManifest {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  /** When it was last scanned; of one that is queued, when it was pushed. */
  readonly sinceMs: EpochMs;
}

/** The report without what it says of vulnerabilities. */
export function withoutVulnerabilities({ Layer }: SecurityReport): SecurityReport {
  const Features = Layer.Features.map(
    ({ Vulnerabilities: _vulnerabilities, ...feature }) => feature,
  );
  return { Layer: { ...Layer, Features } };
}
