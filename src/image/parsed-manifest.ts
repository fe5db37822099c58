import type { Bytes } from '../model/bytes.ts';
import type { JsonObject } from '../model/datatypes.ts';
import type { Digest } from '../model/digest.ts';
import type { ManifestMediaType, SCHEMA1_MEDIA_TYPE } from './media-types.ts';

/** What a manifest says about a piece of content. `digest` has at least a digest's syntax. */
export interface Descriptor {
  readonly mediaType: string;
  /** In bytes. */
  readonly size: number;
  readonly digest: string;
  readonly urls?: readonly string[];
  /** Those whose values are strings; others are allowed in the bytes, but mean nothing. */
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface LayerDescriptor extends Descriptor {
  /** Fetched from `urls`, not from this registry: non-distributable or foreign. */
  readonly isRemote: boolean;
}

export interface ChildDescriptor extends Descriptor {
  readonly platform?: { readonly architecture: string; readonly os: string };
}

/** What is known of a manifest before its fields are read. */
export interface ManifestSource {
  readonly mediaType: ManifestMediaType;
  /** The digest it was pushed by, or its sha256 where it was pushed by tag. */
  readonly digest: Digest;
  readonly bytes: Bytes;
}

interface ParsedManifestBase extends ManifestSource {
  readonly format: 'docker' | 'oci';
  readonly subject: Descriptor | null;
  /** The explicit `artifactType`, else the config's media type for OCI manifests. */
  readonly artifactType: string | null;
  /** Those whose values are strings. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** One image or artifact: a config and its layers. */
export interface ParsedImage extends ParsedManifestBase {
  readonly kind: 'image';
  readonly config: Descriptor;
  /** In the manifest's order: base first. */
  readonly layers: readonly LayerDescriptor[];
  /** Digests of the non-remote layers, base first, then of the config; each once. */
  readonly localBlobDigests: readonly Digest[];
  /** The sum of all layers' sizes in bytes, remote ones included, the config not. */
  readonly layersCompressedSize: number;
}

/** A list of manifests: OCI index or Docker manifest list. */
export interface ParsedIndex extends ParsedManifestBase {
  readonly kind: 'index';
  /** In the manifest's order; a child may be listed more than once. */
  readonly manifests: readonly ChildDescriptor[];
}

/** A manifest's bytes, read once. The interface's `manifest_interface_instance`. */
export type ParsedManifest = ParsedImage | ParsedIndex;

/** A layer of a schema 1 manifest, and what its Docker v1 metadata tells of it. */
export interface Schema1Layer {
  readonly blobDigest: Digest;
  readonly id: string;
  /** Null: this is the base. */
  readonly parentId: string | null;
  readonly created: string | null;
  readonly author: string | null;
  readonly comment: string | null;
  /** The command's list as JSON. */
  readonly command: string | null;
  /** Compressed, in bytes. */
  readonly size: number | null;
  /** All of the metadata. */
  readonly metadata: JsonObject;
}

/** An image in the form of Docker's schema 1: made here of an image, and never stored. */
export interface ParsedSchema1 {
  readonly kind: 'schema1';
  readonly mediaType: typeof SCHEMA1_MEDIA_TYPE;
  readonly digest: Digest;
  readonly bytes: Bytes;
  /** `namespace/repository`, or the repository alone. */
  readonly name: string;
  readonly tagName: string;
  /** Base first, other than in the bytes. */
  readonly layers: readonly Schema1Layer[];
}

/** A manifest in any form that it can be given in; only a {@link ParsedManifest} can be pushed. */
export type ManifestForm = ParsedManifest | ParsedSchema1;
