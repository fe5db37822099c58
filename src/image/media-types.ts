/** The manifests that are stored; every other type, Docker schema 1 too, is refused on push. */
export const MANIFEST_MEDIA_TYPES = {
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
} as const;
export type ManifestMediaType = (typeof MANIFEST_MEDIA_TYPES)[keyof typeof MANIFEST_MEDIA_TYPES];

/** Docker's first manifests, unsigned. A form that images are given in, never one that is stored. */
export const SCHEMA1_MEDIA_TYPE = 'application/vnd.docker.distribution.manifest.v1+json';

export const DOCKER_CONFIG_MEDIA_TYPE = 'application/vnd.docker.container.image.v1+json';
export const OCI_CONFIG_MEDIA_TYPE = 'application/vnd.oci.image.config.v1+json';

/** The only layer types of a Docker manifest; `foreign` ones are fetched from their `urls`. */
export const DOCKER_LAYER_MEDIA_TYPES = {
  local: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  foreign: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
} as const;

/** The OCI layer types that are fetched from their `urls` and never stored here. */
export const OCI_REMOTE_LAYER_MEDIA_TYPES: readonly string[] = [
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
];

/** Whether the text names one of the four stored types. */
export function isManifestMediaType(text: string): text is ManifestMediaType {
  return Object.values<string>(MANIFEST_MEDIA_TYPES).includes(text);
}

/** Whether manifests of this type list other manifests. */
export function isIndexMediaType(mediaType: string): boolean {
  return (
    mediaType === MANIFEST_MEDIA_TYPES.ociIndex || mediaType === MANIFEST_MEDIA_TYPES.dockerList
  );
}
