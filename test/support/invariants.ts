import { env } from 'cloudflare:workers';

import { parseStoredManifest } from '../../src/image/parse.ts';
import { encodeUtf8 } from '../../src/model/bytes.ts';
import { type Digest, algorithmOf, computeDigest } from '../../src/model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../src/model/empty-blob.ts';
import { EMPTY_BLOB_KEY } from '../../src/storage/r2/paths.ts';

/**
 * What must hold of the stores at any moment between two transactions, whoever was interrupted
 * where. Each gives the violations that it finds; {@link findViolations} asks them all.
 */

type Row = Record<string, string | number | null>;

async function rows(sql: string): Promise<readonly Row[]> {
  return (await env.DB.prepare(sql).all<Row>()).results;
}

function describe(name: string, found: readonly Row[]): readonly string[] {
  return found.map((row) => `${name}: ${JSON.stringify(row)}`);
}

/** I1: at most one row of a name is current. */
async function oneCurrentRow(): Promise<readonly string[]> {
  return describe(
    'I1 two current rows',
    await rows(`SELECT repository_id, name, count(*) AS n FROM tag WHERE is_current = 1
      GROUP BY repository_id, name HAVING n > 1`),
  );
}

/** I2: generations of a name follow each other. */
async function generationsInOrder(): Promise<readonly string[]> {
  return describe(
    'I2 overlapping generations',
    await rows(`SELECT * FROM (SELECT id, name, lifetime_start_ms, lifetime_end_ms,
        lead(lifetime_start_ms) OVER names AS next_start FROM tag WHERE hidden = 0
        WINDOW names AS (PARTITION BY repository_id, name ORDER BY lifetime_start_ms, id))
      WHERE next_start IS NOT NULL AND (lifetime_end_ms IS NULL OR lifetime_end_ms > next_start)`),
  );
}

/** I4: none ends before it starts, except what was taken out of the time machine. */
async function endsAfterStarts({ removed = [] }: Allowed): Promise<readonly string[]> {
  const found = await rows(`SELECT id, name, lifetime_start_ms, lifetime_end_ms, is_current FROM tag
    WHERE lifetime_end_ms < lifetime_start_ms`);
  return describe(
    'I4 ended before its start',
    found.filter(({ id, is_current }) => is_current === 1 || !removed.includes(Number(id))),
  );
}

/** I10: nothing alive is locked and has an end. */
async function lockedHasNoEnd({ lockedMayEnd = false }: Allowed): Promise<readonly string[]> {
  return lockedMayEnd
    ? []
    : describe(
        'I10 locked, and has an end',
        await rows(`SELECT id, name, lifetime_end_ms FROM tag
          WHERE is_current = 1 AND immutable = 1 AND lifetime_end_ms IS NOT NULL`),
      );
}

/** I6: (repository, digest) is unique, and the bytes are those of the digest. */
async function manifestBytes(): Promise<readonly string[]> {
  const violations: string[] = [];
  for (const { digest, bytes, bytes_key: key } of await rows('SELECT * FROM manifest')) {
    const object = key === null ? null : await env.BUCKET.get(String(key));
    const stored = bytes === null ? await object?.bytes() : new TextEncoder().encode(String(bytes));
    const expected = digest as Digest;
    const actual = stored && (await computeDigest(algorithmOf(expected), new Uint8Array(stored)));
    if (actual !== expected) {
      violations.push(`I6 manifest ${digest} has the bytes of ${actual}`);
    }
  }
  return violations;
}

/** I7: a manifest is linked to all that it names, unless its repository is being purged. */
async function manifestLinks(): Promise<readonly string[]> {
  const violations: string[] = [];
  for (const row of await rows(`SELECT m.* FROM manifest m JOIN repository r
    ON r.id = m.repository_id AND r.state <> 3 WHERE m.bytes IS NOT NULL`)) {
    const parsed = parseStoredManifest(encodeUtf8(String(row['bytes'])), {
      mediaType: String(row['media_type']),
      digest: row['digest'] as Digest,
    });
    const blobs = await rows(`SELECT b.digest FROM manifest_blob l JOIN blob b ON b.id = l.blob_id
      WHERE l.manifest_id = ${row['id']}`);
    const children = await rows(`SELECT child_digest AS digest FROM manifest_child
      WHERE manifest_id = ${row['id']} AND child_manifest_id IS NOT NULL`);
    const wanted =
      parsed.kind === 'image' ? parsed.localBlobDigests : parsed.manifests.map((m) => m.digest);
    const linked = new Set([...blobs, ...children].map(({ digest }) => digest));
    for (const digest of wanted.filter((one) => !linked.has(one))) {
      violations.push(`I7 manifest ${row['digest']} is not linked to ${digest}`);
    }
  }
  return violations;
}

/** I11: every tag stands on a manifest of its own, live repository. */
async function tagsHaveManifests(): Promise<readonly string[]> {
  return describe(
    'I11 tag without a live manifest',
    await rows(`SELECT t.id, t.name FROM tag t LEFT JOIN manifest m
        ON m.id = t.manifest_id AND m.repository_id = t.repository_id
      LEFT JOIN repository r ON r.id = t.repository_id WHERE m.id IS NULL OR r.id IS NULL`),
  );
}

/** I-BORN, I-ENQ: what nothing names is on the list of what may be garbage. */
async function garbageIsListed(): Promise<readonly string[]> {
  return [
    ...describe(
      'I-ENQ manifest that nothing names, and no candidate',
      await rows(`SELECT m.digest FROM manifest m JOIN repository r
          ON r.id = m.repository_id AND r.state <> 3
        WHERE NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id)
          AND NOT EXISTS (SELECT 1 FROM manifest_child p WHERE p.child_manifest_id = m.id)
          AND NOT EXISTS (SELECT 1 FROM manifest s
            WHERE s.repository_id = m.repository_id AND s.subject_digest = m.digest)
          AND NOT EXISTS (SELECT 1 FROM gc_manifest_candidate c WHERE c.manifest_id = m.id)`),
    ),
    ...describe(
      'I-ENQ blob that nothing holds, and no candidate',
      await rows(`SELECT b.digest FROM blob b WHERE b.digest <> '${EMPTY_BLOB_DIGEST}'
          AND NOT EXISTS (SELECT 1 FROM manifest_blob l WHERE l.blob_id = b.id)
          AND NOT EXISTS (SELECT 1 FROM uploaded_blob l WHERE l.blob_id = b.id)
          AND NOT EXISTS (SELECT 1 FROM gc_blob_candidate c WHERE c.blob_id = b.id)`),
    ),
  ];
}

/** I-ONE: one blob per digest. I-KEY: no key names two things. */
async function keysAreSingle(): Promise<readonly string[]> {
  return [
    ...describe(
      'I-ONE two blobs of a digest',
      await rows('SELECT digest, count(*) AS n FROM blob GROUP BY digest HAVING n > 1'),
    ),
    ...describe(
      'I-KEY key named twice',
      await rows(`SELECT key, count(*) AS n FROM (
          SELECT object_key AS key FROM blob UNION ALL SELECT object_key FROM blob_upload
          UNION ALL SELECT bytes_key FROM manifest WHERE bytes_key IS NOT NULL
          UNION ALL SELECT DISTINCT object_key FROM r2_tombstone)
        GROUP BY key HAVING n > 1`),
    ),
  ];
}

/** I-BYTES, I-DIGEST: a blob's object is there, has its size and its digest. */
async function blobBytes(): Promise<readonly string[]> {
  const violations: string[] = [];
  for (const { digest, object_key: key, size_bytes: size } of await rows('SELECT * FROM blob')) {
    const object = await env.BUCKET.get(String(key));
    const bytes = object === null ? null : new Uint8Array(await object.arrayBuffer());
    const expected = digest as Digest;
    const actual = bytes && (await computeDigest(algorithmOf(expected), bytes));
    if (actual !== expected || bytes?.byteLength !== size) {
      violations.push(`I-BYTES blob ${digest} of ${size} bytes has an object of ${actual}`);
    }
  }
  return violations;
}

/** I-OWN: every object in the bucket is named by a row. */
async function objectsAreOwned(): Promise<readonly string[]> {
  const named = await rows(`SELECT object_key AS key, 'key' AS kind FROM blob
    UNION ALL SELECT object_key, 'key' FROM blob_upload
    UNION ALL SELECT 'uploads/' || uuid || '/', 'prefix' FROM blob_upload
    UNION ALL SELECT bytes_key, 'key' FROM manifest WHERE bytes_key IS NOT NULL
    UNION ALL SELECT object_key, kind FROM r2_tombstone`);
  const keys = new Set(named.filter(({ kind }) => kind === 'key').map(({ key }) => String(key)));
  const prefixes = named.filter(({ kind }) => kind === 'prefix').map(({ key }) => String(key));
  const { objects } = await env.BUCKET.list();
  return objects
    .map(({ key }) => key)
    .filter((key) => key !== EMPTY_BLOB_KEY && !keys.has(key))
    .filter((key) => !prefixes.some((prefix) => key.startsWith(prefix)))
    .map((key) => `I-OWN nobody names ${key}`);
}

/** I-COUNT: an open upload has received what its parts and its tail hold. */
async function uploadCounts(): Promise<readonly string[]> {
  return describe(
    'I-COUNT upload miscounted',
    await rows(`SELECT * FROM (SELECT u.uuid, u.byte_count, u.part_count, u.part_size, u.tail_size,
        (SELECT count(*) FROM blob_upload_part p WHERE p.upload_id = u.id) AS parts
        FROM blob_upload u)
      WHERE byte_count <> part_count * part_size + tail_size OR parts <> part_count`),
  );
}

/** The garbage hints are never later than what there is to collect. */
async function hintsAreLowerBounds(): Promise<readonly string[]> {
  return describe(
    'hint too late',
    await rows(`SELECT * FROM (SELECT r.id, g.earliest_end_ms, g.earliest_lease_ms,
        (SELECT min(lifetime_end_ms) FROM tag t WHERE t.repository_id = r.id) AS ends,
        (SELECT min(expires_ms) FROM uploaded_blob l WHERE l.repository_id = r.id) AS leases
        FROM repository r LEFT JOIN repository_gc g ON g.repository_id = r.id
        WHERE r.state <> 3)
      WHERE (ends IS NOT NULL AND (earliest_end_ms IS NULL OR earliest_end_ms > ends))
        OR (leases IS NOT NULL AND (earliest_lease_ms IS NULL OR earliest_lease_ms > leases))`),
  );
}

/**
 * Where there is a quota, the sizes of the namespace and of its repositories are those of their
 * distinct blobs; where there is none nobody counts.
 */
export async function quotaSizesAreExact(): Promise<readonly string[]> {
  const held = `SELECT DISTINCT r.namespace_id, r.id AS repository_id, b.id AS blob_id, b.size_bytes
    FROM repository r JOIN manifest m ON m.repository_id = r.id
    JOIN manifest_blob l ON l.manifest_id = m.id JOIN blob b ON b.id = l.blob_id
    WHERE b.digest <> '${EMPTY_BLOB_DIGEST}'`;
  return [
    ...describe(
      'quota: namespace miscounted',
      await rows(`SELECT * FROM (SELECT q.namespace_id, s.size_bytes AS counted,
          (SELECT coalesce(sum(size_bytes), 0) FROM (SELECT DISTINCT blob_id, size_bytes
            FROM (${held}) h WHERE h.namespace_id = q.namespace_id)) AS held
          FROM namespace_quota q LEFT JOIN quota_namespace_size s
            ON s.namespace_id = q.namespace_id)
        WHERE counted IS NOT held`),
    ),
    ...describe(
      'quota: repository miscounted',
      await rows(`SELECT * FROM (SELECT r.id, coalesce(s.size_bytes, 0) AS counted,
          (SELECT coalesce(sum(size_bytes), 0) FROM (${held}) h WHERE h.repository_id = r.id) AS held
          FROM namespace_quota q JOIN repository r ON r.namespace_id = q.namespace_id
            LEFT JOIN quota_repository_size s ON s.repository_id = r.id)
        WHERE counted <> held`),
    ),
    ...describe(
      'quota: counted without one',
      await rows(`SELECT n.id, n.name FROM namespace n
        WHERE NOT EXISTS (SELECT 1 FROM namespace_quota q WHERE q.namespace_id = n.id)
          AND (EXISTS (SELECT 1 FROM quota_namespace_size s WHERE s.namespace_id = n.id)
            OR EXISTS (SELECT 1 FROM quota_repository_size s JOIN repository r
              ON r.id = s.repository_id WHERE r.namespace_id = n.id))`),
    ),
  ];
}

/** What a test did on purpose that is a violation otherwise. */
interface Allowed {
  /** Ids of the rows that were taken out of the time machine. */
  readonly removed?: readonly number[];
  /** Immutable tags may have an end, or immutability was not enforced when they got it. */
  readonly lockedMayEnd?: boolean;
}

/** Every violation of every invariant above, as sentences; an empty list is what a test wants. */
export async function findViolations(allowed: Allowed = {}): Promise<readonly string[]> {
  const checks = [
    oneCurrentRow,
    generationsInOrder,
    endsAfterStarts,
    lockedHasNoEnd,
    manifestBytes,
    manifestLinks,
    tagsHaveManifests,
    garbageIsListed,
    keysAreSingle,
    blobBytes,
    objectsAreOwned,
    uploadCounts,
    hintsAreLowerBounds,
    quotaSizesAreExact,
  ];
  return (await Promise.all(checks.map((check) => check(allowed)))).flat();
}
