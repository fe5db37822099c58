import type { Label, LabelSource, Manifest, ManifestLayer, Tag } from '../model/datatypes.ts';
import type { ManifestInfo, RepositoryRef } from '../model/references.ts';
import type { IncludePlacements, RegistryDataInterface } from '../registry/interface.ts';

/**
 * The registry data interface as another Worker has it over a service binding: the same 50 methods,
 * with the same meaning, refusals and costs. Only what cannot cross has another form, which is that
 * of {@link PlainForms}. Everything that crosses is plain data: references are objects that can be
 * kept, stored and sent back.
 *
 * Each call is a request of its own. `callRefusal` of `refusals.ts` says what it threw.
 */
export interface RemoteRegistry extends Omit<RegistryDataInterface, keyof PlainForms>, PlainForms {}

/**
 * A manifest by its bytes. They are read where they arrive, and nothing else that the caller knows
 * about them is believed. A parsed or a stored manifest is one too.
 */
export interface ManifestBytes {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** Held against the bytes; without it, it is their sha256. */
  readonly digest?: string;
}

/** A label as it is given. */
export interface PlainLabel {
  readonly key: string;
  readonly value: string;
  readonly source: LabelSource;
  /** Null or not there: JSON if the value is a JSON object or array, else plain text. */
  readonly mediaType?: string | null;
}

/** The methods whose parameters have a form of their own here; their results have not. */
export interface PlainForms {
  /**
   * As inside, of bytes. Errors besides: ManifestTypeUnsupported, ManifestTooLarge, DigestMismatch,
   * ManifestInvalid for bytes that are no manifest, whatever `raiseOnError` says.
   */
  createManifestAndRetargetTag(
    repository: RepositoryRef,
    manifest: ManifestBytes,
    tagName: string,
    options?: { readonly raiseOnError?: boolean },
  ): Promise<{ readonly manifest: Manifest; readonly tag: Tag; readonly created: boolean } | null>;
  /** As inside, of bytes; errors besides as there. */
  createManifestWithTempTag(
    repository: RepositoryRef,
    manifest: ManifestBytes,
    expirationSec: number,
    options?: { readonly raiseOnError?: boolean },
  ): Promise<Manifest | null>;
  /** As inside, of the bytes of a manifest in any form, schema 1 too; errors besides as there. */
  listParsedManifestLayers(
    repository: RepositoryRef,
    manifest: ManifestBytes,
    options?: IncludePlacements,
  ): Promise<readonly ManifestLayer[] | null>;
  /** As inside, of a list where that has a callback, which would cost a message for each label. */
  batchCreateManifestLabels(
    manifest: ManifestInfo,
    labels: readonly PlainLabel[],
  ): Promise<readonly Label[] | null>;
}
