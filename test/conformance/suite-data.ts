import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { encodeUtf8 } from '../../src/model/bytes.ts';
import { computeDigest, type Digest, type DigestAlgorithm } from '../../src/model/digest.ts';
import { uniqueBytes } from '../support/content.ts';
import {
  descriptorOf,
  indexOf,
  manifestOf,
  type SentManifest,
  uploadBlob,
} from '../support/http.ts';

export const ARTIFACT_TYPE = 'application/vnd.example.oci.conformance.v1';
const OTHER_TYPE = 'application/vnd.example.oci.conformance.v2';
const EMPTY_JSON = 'application/vnd.oci.empty.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const { ociManifest } = MANIFEST_MEDIA_TYPES;

/** What one data test pushes: blobs are in the repository when it was built, manifests are not. */
export interface DataSet {
  readonly blobs: readonly Digest[];
  /** Children before parents. */
  readonly manifests: readonly SentManifest[];
  readonly tags: Readonly<Record<string, SentManifest>>;
  readonly tagsAsParameters?: boolean;
  readonly referrers?: readonly { readonly subject: Digest; readonly by: SentManifest }[];
}

type Build = (name: string) => Promise<DataSet>;
type Subject = ReturnType<typeof descriptorOf>;

interface ImageOptions {
  readonly config?: { readonly mediaType: string; readonly content: object };
  readonly layers?: number;
  readonly layerMediaType?: string;
  readonly remoteLayers?: readonly object[];
  readonly inlineData?: boolean;
  readonly algorithm?: DigestAlgorithm;
  readonly fields?: object;
}

interface Built {
  readonly manifest: SentManifest;
  readonly blobs: readonly Digest[];
}

async function image(name: string, options: ImageOptions = {}): Promise<Built> {
  const { layers = 2, algorithm = 'sha256', layerMediaType = LAYER } = options;
  const {
    mediaType: configType,
    content = {
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [] },
      author: crypto.randomUUID(),
    },
  } = options.config ?? { mediaType: 'application/vnd.oci.image.config.v1+json' };
  const parts = [
    { mediaType: configType, bytes: encodeUtf8(JSON.stringify(content)) },
    ...Array.from({ length: layers }, () => ({
      mediaType: layerMediaType,
      bytes: uniqueBytes(200),
    })),
  ];
  const described: (Subject & { data?: string })[] = [];
  for (const { mediaType, bytes } of parts) {
    const digest = await uploadBlob(name, bytes, algorithm);
    const data = options.inlineData ? { data: btoa(String.fromCharCode(...bytes)) } : {};
    described.push({ mediaType, size: bytes.byteLength, digest, ...data });
  }
  const [config, ...local] = described;
  const manifest = await manifestOf(
    ociManifest,
    {
      schemaVersion: 2,
      mediaType: ociManifest,
      config,
      layers: [...(options.remoteLayers ?? []), ...local],
      ...options.fields,
    },
    algorithm,
  );
  return { manifest, blobs: described.map(({ digest }) => digest) };
}

const emptyConfig = { mediaType: EMPTY_JSON, content: {} };

async function artifact(name: string, fields: object = {}, layers = 1): Promise<Built> {
  return image(name, {
    config: emptyConfig,
    layers,
    layerMediaType: ARTIFACT_TYPE,
    fields: { artifactType: ARTIFACT_TYPE, annotations: { id: crypto.randomUUID() }, ...fields },
  });
}

function single({ manifest, blobs }: Built, tagName: string): DataSet {
  return { blobs, manifests: [manifest], tags: { [tagName]: manifest } };
}

async function indexOfTwo(build: () => Promise<Built>, fields: object = {}) {
  const children = [await build(), await build()];
  const manifests = children.map(({ manifest }) => manifest);
  const index = await indexOf(manifests, fields);
  return {
    blobs: [...new Set(children.flatMap(({ blobs }) => blobs))],
    manifests: [...manifests, index],
    index,
  };
}

async function withSubject(
  name: string,
  { asIndex, pushesSubject }: { asIndex: boolean; pushesSubject: boolean },
): Promise<DataSet> {
  const subject = await image(name);
  const fields = { subject: descriptorOf(subject.manifest) };
  const [one, other] = [await artifact(name, fields), await artifact(name, fields)];
  const referring = asIndex
    ? [await indexOf([one.manifest, other.manifest], { ...fields, artifactType: OTHER_TYPE })]
    : [];
  const referrers = [one.manifest, other.manifest, ...referring];
  const last = referrers.at(-1) ?? one.manifest;
  return {
    blobs: [...new Set([subject, one, other].flatMap(({ blobs }) => blobs))],
    manifests: [...(pushesSubject ? [subject.manifest] : []), ...referrers],
    tags: { ...(pushesSubject ? { image: subject.manifest } : {}), 'tagged-artifact': last },
    referrers: referrers.map((by) => ({ subject: subject.manifest.digest, by })),
  };
}

async function tagParameters(name: string, algorithm: DigestAlgorithm): Promise<DataSet> {
  const { manifest, blobs } = await image(name, { algorithm });
  const tags = Object.fromEntries(
    Array.from({ length: 10 }, (_, at) => [`tag-param-${algorithm}-${at}`, manifest]),
  );
  return { blobs, manifests: [manifest], tags, tagsAsParameters: true };
}

async function remoteLayer(mediaType: string): Promise<object> {
  const digest = await computeDigest('sha256', uniqueBytes());
  return { mediaType, digest, size: 123_456, urls: [`https://store.example.com/${digest}`] };
}

/** The data tests of the public conformance suite, by its names. */
export const DATA_SETS: Readonly<Record<string, Build>> = {
  image: async (name) => single(await image(name), 'image'),
  'image-uncompressed': async (name) =>
    single(
      await image(name, { layerMediaType: 'application/vnd.oci.image.layer.v1.tar' }),
      'image-uncompressed',
    ),
  'large-manifest': async (name) => {
    const annotations = Object.fromEntries(
      Array.from({ length: 390 }, (_, at) => [`annotation-${at}`, 'x'.repeat(10_000)]),
    );
    return single(await image(name, { fields: { annotations } }), 'large-manifest');
  },
  index: async (name) => {
    const { index, ...pushed } = await indexOfTwo(() => image(name));
    return { ...pushed, tags: { index } };
  },
  'nested-index': async (name) => {
    const [one, other] = [await indexOfTwo(() => image(name)), await indexOfTwo(() => image(name))];
    const top = await indexOf([one.index, other.index]);
    return {
      blobs: [...one.blobs, ...other.blobs],
      manifests: [...one.manifests, ...other.manifests, top],
      tags: { 'index-of-index': top },
    };
  },
  'empty-index': async () => {
    const index = await indexOf([]);
    return { blobs: [], manifests: [index], tags: { index } };
  },
  artifact: async (name) => single(await artifact(name), 'artifact'),
  'artifact-index': async (name) => {
    const { index, ...pushed } = await indexOfTwo(() => artifact(name), {
      artifactType: ARTIFACT_TYPE,
    });
    return { ...pushed, tags: { 'artifact-index': index } };
  },
  'artifact-without-layers': async (name) =>
    single(await artifact(name, {}, 0), 'artifact-without-layers'),
  'artifacts-with-subject': (name) => withSubject(name, { asIndex: false, pushesSubject: true }),
  'index-with-subject': (name) => withSubject(name, { asIndex: true, pushesSubject: true }),
  'missing-subject': (name) => withSubject(name, { asIndex: false, pushesSubject: false }),
  'data-field': async (name) => single(await image(name, { inlineData: true }), 'data-field'),
  'non-distributable-layers': async (name) => {
    const base = 'application/vnd.oci.image.layer.nondistributable.v1.tar';
    const remoteLayers = [await remoteLayer(`${base}+gzip`), await remoteLayer(base)];
    return single(await image(name, { layers: 1, remoteLayers }), 'non-distributable-layers');
  },
  'custom-fields': async (name) => {
    const custom = { 'org.example.custom': { nested: ['value', 1, null] } };
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      content: {
        architecture: 'amd64',
        os: 'linux',
        rootfs: { type: 'layers', diff_ids: [] },
        ...custom,
      },
    };
    return single(await image(name, { config, fields: custom }), 'custom-fields');
  },
  'no-layers': async (name) => single(await image(name, { layers: 0 }), 'no-layers'),
  sha512: async (name) => {
    const { manifest, blobs } = await image(name, { algorithm: 'sha512' });
    return { blobs, manifests: [manifest], tags: {} };
  },
  'tag-param-sha256': (name) => tagParameters(name, 'sha256'),
  'tag-param-sha512': (name) => tagParameters(name, 'sha512'),
};

/** An image whose blobs are there and whose digest is not that of its bytes. */
export async function badDigestImage(name: string): Promise<SentManifest> {
  const { manifest } = await image(name);
  return { ...manifest, bytes: encodeUtf8(`${new TextDecoder().decode(manifest.bytes)}  `) };
}
