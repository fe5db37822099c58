import { env } from 'cloudflare:workers';

export type Row = Readonly<Record<string, string | number | null>>;

export interface StoredManifest {
  readonly id: number;
  readonly repositoryId: number;
  readonly digest: string;
  readonly mediaType: string;
  /** The body, unless it is in R2. */
  readonly bytes: string | null;
  readonly bytesKey: string | null;
  readonly blobIds: readonly number[];
  readonly childDigests: readonly string[];
}

export interface StoredBlob {
  readonly id: number;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly objectKey: string;
}

export interface StoredUpload {
  readonly uploadId: string;
}

/** All that the stores hold, as they hold it between two transactions. */
export interface Snapshot {
  /** By id, the state. */
  readonly repositories: ReadonlyMap<number, number>;
  readonly manifests: readonly StoredManifest[];
  readonly blobs: readonly StoredBlob[];
  /** Of blobs, by id. */
  readonly blobsById: ReadonlyMap<number, StoredBlob>;
  /** `<repository id> <blob id>` of every lease, over or not. */
  readonly leases: ReadonlySet<string>;
  /** By `<repository id> <name>`, the digest that a tag which nobody ended stands on. */
  readonly tags: ReadonlyMap<string, string>;
  readonly uploads: readonly StoredUpload[];
  /** Keys that a row names, and prefixes that one names whole. */
  readonly ownedKeys: ReadonlySet<string>;
  readonly ownedPrefixes: readonly string[];
  /** What is in R2, by key. */
  readonly objects: ReadonlyMap<string, R2Object>;
  /** What the further statements gave, in their order. */
  readonly extra: readonly (readonly Row[])[];
}

const STATEMENTS = [
  'SELECT id, state FROM repository',
  `SELECT id, repository_id, digest, media_type, bytes, bytes_key FROM manifest`,
  'SELECT manifest_id, blob_id FROM manifest_blob',
  `SELECT manifest_id, child_digest FROM manifest_child WHERE child_manifest_id IS NOT NULL`,
  'SELECT id, digest, size_bytes, object_key FROM blob',
  "SELECT repository_id || ' ' || blob_id AS lease FROM uploaded_blob",
  `SELECT t.repository_id || ' ' || t.name AS key, m.digest FROM tag t
    JOIN manifest m ON m.id = t.manifest_id WHERE t.is_current = 1 AND t.hidden = 0`,
  'SELECT uuid, object_key FROM blob_upload',
  'SELECT object_key, kind FROM r2_tombstone',
];

/** Reads everything: one transaction, and a list of the bucket; further statements go with it. */
export async function takeSnapshot(further: readonly string[] = []): Promise<Snapshot> {
  const [results, objects] = await Promise.all([
    env.DB.batch<Row>([...STATEMENTS, ...further].map((sql) => env.DB.prepare(sql))),
    listAll(),
  ]);
  const [repositories, manifests, links, children, blobs, leases, tags, uploads, graves] =
    results.map((result) => result.results);
  const blobRows = (blobs ?? []).map(toBlob);
  const keysOf = (rows: readonly Row[] | undefined, column: string) =>
    (rows ?? []).flatMap(({ [column]: key }) => (key === null ? [] : [String(key)]));
  const ofKind = (wanted: string) => (graves ?? []).filter(({ kind }) => kind === wanted);
  return {
    repositories: new Map(repositories?.map(({ id, state }) => [Number(id), Number(state)])),
    manifests: toManifests(manifests ?? [], links ?? [], children ?? []),
    blobs: blobRows,
    blobsById: new Map(blobRows.map((blob) => [blob.id, blob])),
    leases: new Set(keysOf(leases, 'lease')),
    tags: new Map(tags?.map(({ key, digest }) => [String(key), String(digest)])),
    uploads: (uploads ?? []).map((row) => ({
      uploadId: String(row['uuid']),
    })),
    ownedKeys: new Set([
      ...keysOf(blobs, 'object_key'),
      ...keysOf(uploads, 'object_key'),
      ...keysOf(manifests, 'bytes_key'),
      ...keysOf(ofKind('key'), 'object_key'),
      ...keysOf(ofKind('mpu'), 'object_key'),
    ]),
    ownedPrefixes: [
      ...keysOf(uploads, 'uuid').map((uuid) => `uploads/${uuid}/`),
      ...keysOf(ofKind('prefix'), 'object_key'),
    ],
    objects,
    extra: results.slice(STATEMENTS.length).map((result) => result.results),
  };
}

function toManifests(
  rows: readonly Row[],
  links: readonly Row[],
  children: readonly Row[],
): readonly StoredManifest[] {
  const blobIds = Map.groupBy(links, (row) => row['manifest_id']);
  const childRows = Map.groupBy(children, (row) => row['manifest_id']);
  return rows.map((row) => ({
    id: Number(row['id']),
    repositoryId: Number(row['repository_id']),
    digest: String(row['digest']),
    mediaType: String(row['media_type']),
    bytes: row['bytes'] as string | null,
    bytesKey: row['bytes_key'] as string | null,
    blobIds: (blobIds.get(row['id'] ?? null) ?? []).map((link) => Number(link['blob_id'])),
    childDigests: (childRows.get(row['id'] ?? null) ?? []).map((child) =>
      String(child['child_digest']),
    ),
  }));
}

const toBlob = (row: Row): StoredBlob => ({
  id: Number(row['id']),
  digest: String(row['digest']),
  sizeBytes: Number(row['size_bytes']),
  objectKey: String(row['object_key']),
});

async function listAll(): Promise<ReadonlyMap<string, R2Object>> {
  const objects = new Map<string, R2Object>();
  let cursor: string | undefined;
  do {
    const page = await env.BUCKET.list(cursor === undefined ? {} : { cursor });
    for (const object of page.objects) {
      objects.set(object.key, object);
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return objects;
}
