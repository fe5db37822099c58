import { env } from 'cloudflare:workers';

import { parseStoredManifest } from '../../src/image/parse.ts';
import { encodeUtf8 } from '../../src/model/bytes.ts';
import { type Digest, algorithmOf, computeDigest } from '../../src/model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../src/model/empty-blob.ts';
import { EMPTY_BLOB_KEY } from '../../src/storage/r2/paths.ts';
import { type Row, type Snapshot, type StoredManifest, takeSnapshot } from './snapshot.ts';

/**
 * What must hold of the stores at any moment between two transactions, whoever was interrupted
 * where. {@link findViolations} gives the violations of all of it.
 */

/** What a test did on purpose that is a violation otherwise. */
interface Allowed {
  /** Ids of the rows that were taken out of the time machine. */
  readonly removed?: readonly number[];
  /** Immutable tags may have an end, or immutability was not enforced when they got it. */
  readonly lockedMayEnd?: boolean;
}

interface RowCheck {
  readonly name: string;
  /** Gives the rows that violate it. */
  readonly sql: string;
  readonly isAllowed?: (row: Row, allowed: Allowed) => boolean;
}

/** What a quota counts: each blob of a repository once. */
const HELD_BLOBS = `SELECT DISTINCT r.namespace_id, r.id AS repository_id, b.id AS blob_id,
    b.size_bytes
  FROM repository r JOIN manifest m ON m.repository_id = r.id
  JOIN manifest_blob l ON l.manifest_id = m.id JOIN blob b ON b.id = l.blob_id
  WHERE b.digest <> '${EMPTY_BLOB_DIGEST}'`;

/** What the rows alone can tell. */
const ROW_CHECKS: readonly RowCheck[] = [
  {
    name: 'I1 two current rows',
    sql: `SELECT repository_id, name, count(*) AS n FROM tag WHERE is_current = 1
      GROUP BY repository_id, name HAVING n > 1`,
  },
  {
    name: 'I2 overlapping generations',
    sql: `SELECT * FROM (SELECT id, name, lifetime_start_ms, lifetime_end_ms,
        lead(lifetime_start_ms) OVER names AS next_start FROM tag WHERE hidden = 0
        WINDOW names AS (PARTITION BY repository_id, name ORDER BY lifetime_start_ms, id))
      WHERE next_start IS NOT NULL AND (lifetime_end_ms IS NULL OR lifetime_end_ms > next_start)`,
  },
  {
    // Except what was taken out of the time machine.
    name: 'I4 ended before its start',
    sql: `SELECT id, name, lifetime_start_ms, lifetime_end_ms, is_current FROM tag
      WHERE lifetime_end_ms < lifetime_start_ms`,
    isAllowed: (row, { removed = [] }) =>
      row['is_current'] === 0 && removed.includes(Number(row['id'])),
  },
  {
    name: 'I10 locked, and has an end',
    sql: `SELECT id, name, lifetime_end_ms FROM tag
      WHERE is_current = 1 AND immutable = 1 AND lifetime_end_ms IS NOT NULL`,
    isAllowed: (_row, { lockedMayEnd = false }) => lockedMayEnd,
  },
  {
    name: 'I11 tag without a live manifest',
    sql: `SELECT t.id, t.name FROM tag t LEFT JOIN manifest m
        ON m.id = t.manifest_id AND m.repository_id = t.repository_id
      LEFT JOIN repository r ON r.id = t.repository_id WHERE m.id IS NULL OR r.id IS NULL`,
  },
  {
    // I-BORN too: what nothing names is on the list of what may be garbage.
    name: 'I-ENQ manifest that nothing names, and no candidate',
    sql: `SELECT m.digest FROM manifest m JOIN repository r
        ON r.id = m.repository_id AND r.state <> 3
      WHERE NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id)
        AND NOT EXISTS (SELECT 1 FROM manifest_child p WHERE p.child_manifest_id = m.id)
        AND NOT EXISTS (SELECT 1 FROM manifest s
          WHERE s.repository_id = m.repository_id AND s.subject_digest = m.digest)
        AND NOT EXISTS (SELECT 1 FROM gc_manifest_candidate c WHERE c.manifest_id = m.id)`,
  },
  {
    name: 'I-ENQ blob that nothing holds, and no candidate',
    sql: `SELECT b.digest FROM blob b WHERE b.digest <> '${EMPTY_BLOB_DIGEST}'
      AND NOT EXISTS (SELECT 1 FROM manifest_blob l WHERE l.blob_id = b.id)
      AND NOT EXISTS (SELECT 1 FROM uploaded_blob l WHERE l.blob_id = b.id)
      AND NOT EXISTS (SELECT 1 FROM gc_blob_candidate c WHERE c.blob_id = b.id)`,
  },
  {
    name: 'I-ONE two blobs of a digest',
    sql: 'SELECT digest, count(*) AS n FROM blob GROUP BY digest HAVING n > 1',
  },
  {
    name: 'I-KEY key named twice',
    sql: `SELECT key, count(*) AS n FROM (
        SELECT object_key AS key FROM blob UNION ALL SELECT object_key FROM blob_upload
        UNION ALL SELECT bytes_key FROM manifest WHERE bytes_key IS NOT NULL
        UNION ALL SELECT DISTINCT object_key FROM r2_tombstone)
      GROUP BY key HAVING n > 1`,
  },
  {
    name: 'I-KEY open upload whose prefix is buried',
    sql: `SELECT u.uuid FROM blob_upload u JOIN r2_tombstone g
      ON g.kind = 'prefix' AND g.object_key = 'uploads/' || u.uuid || '/'`,
  },
  {
    // What its parts and its tail hold.
    name: 'I-COUNT upload miscounted',
    sql: `SELECT * FROM (SELECT u.uuid, u.byte_count, u.part_count, u.part_size, u.tail_size,
        (SELECT count(*) FROM blob_upload_part p WHERE p.upload_id = u.id) AS parts
        FROM blob_upload u)
      WHERE byte_count <> part_count * part_size + tail_size OR parts <> part_count`,
  },
  {
    // People are called as their namespace is, robots after theirs, deleted or not.
    name: 'account not called after its namespace',
    sql: `SELECT a.name AS account, n.name FROM account a JOIN namespace n ON n.id = a.namespace_id
      WHERE CASE a.kind WHEN 'user' THEN a.name <> n.name OR n.kind <> 'user'
        ELSE substr(a.name, 1, length(n.name) + 1) <> n.name || '+' END`,
  },
  {
    name: 'account that cannot be a member',
    sql: `SELECT a.name AS account, m.role, n.name FROM namespace_member m
        JOIN namespace n ON n.id = m.namespace_id JOIN account a ON a.id = m.account_id
      WHERE n.kind = 'user'
        OR (a.kind = 'robot' AND (a.namespace_id <> n.id OR m.role = 'admin'))`,
  },
  {
    name: 'robot of elsewhere with a right',
    sql: `SELECT a.name AS account, r.name FROM repository_right g
        JOIN repository r ON r.id = g.repository_id JOIN account a ON a.id = g.account_id
      WHERE a.kind = 'robot' AND a.namespace_id <> r.namespace_id`,
  },
  {
    name: 'quota: namespace miscounted',
    sql: `SELECT * FROM (SELECT q.namespace_id, s.size_bytes AS counted,
        (SELECT coalesce(sum(size_bytes), 0) FROM (SELECT DISTINCT blob_id, size_bytes
          FROM (${HELD_BLOBS}) h WHERE h.namespace_id = q.namespace_id)) AS held
        FROM namespace_quota q LEFT JOIN quota_namespace_size s
          ON s.namespace_id = q.namespace_id)
      WHERE counted IS NOT held`,
  },
  {
    name: 'quota: repository miscounted',
    sql: `SELECT * FROM (SELECT r.id, coalesce(s.size_bytes, 0) AS counted,
        (SELECT coalesce(sum(size_bytes), 0) FROM (${HELD_BLOBS}) h
          WHERE h.repository_id = r.id) AS held
        FROM namespace_quota q JOIN repository r ON r.namespace_id = q.namespace_id
          LEFT JOIN quota_repository_size s ON s.repository_id = r.id)
      WHERE counted <> held`,
  },
  {
    name: 'quota: counted without one',
    sql: `SELECT n.id, n.name FROM namespace n
      WHERE NOT EXISTS (SELECT 1 FROM namespace_quota q WHERE q.namespace_id = n.id)
        AND (EXISTS (SELECT 1 FROM quota_namespace_size s WHERE s.namespace_id = n.id)
          OR EXISTS (SELECT 1 FROM quota_repository_size s JOIN repository r
            ON r.id = s.repository_id WHERE r.namespace_id = n.id))`,
  },
  {
    name: 'message that nobody will send',
    sql: `SELECT n.id, n.uuid FROM repository_notification n WHERE n.due_ms IS NULL
      AND EXISTS (SELECT 1 FROM notification_delivery d WHERE d.notification_id = n.id)`,
  },
  {
    // The hints are never later than what there is to collect, where anything is collected.
    name: 'hint too late',
    sql: `SELECT * FROM (SELECT r.id, g.earliest_end_ms, g.earliest_lease_ms,
        (SELECT min(lifetime_end_ms) FROM tag t WHERE t.repository_id = r.id) AS ends,
        (SELECT min(expires_ms) FROM uploaded_blob l WHERE l.repository_id = r.id) AS leases
        FROM repository r JOIN namespace n ON n.id = r.namespace_id AND n.enabled = 1
        LEFT JOIN repository_gc g ON g.repository_id = r.id WHERE r.state <> 3)
      WHERE (ends IS NOT NULL AND (earliest_end_ms IS NULL OR earliest_end_ms > ends))
        OR (leases IS NOT NULL AND (earliest_lease_ms IS NULL OR earliest_lease_ms > leases))`,
  },
];

/** The violations of what is true of the sizes that a quota counts. */
export const quotaSizesAreExact = (): Promise<readonly string[]> => findRowViolations('quota:');

/** The violations that rows alone can tell, of the checks whose names begin so. */
export async function findRowViolations(prefix = ''): Promise<readonly string[]> {
  const checks = ROW_CHECKS.filter(({ name }) => name.startsWith(prefix));
  const results = await env.DB.batch<Row>(checks.map(({ sql }) => env.DB.prepare(sql)));
  return checks.flatMap(({ name }, at) =>
    (results[at]?.results ?? []).map((row) => `${name}: ${JSON.stringify(row)}`),
  );
}

/** Every violation of every invariant, as sentences; an empty list is what a test wants. */
export async function findViolations(allowed: Allowed = {}): Promise<readonly string[]> {
  return (await new Witness().look(allowed)).violations;
}

/**
 * Checks the same stores again and again. It reads each object once, and knows it by its etag, a
 * hash of its content, from then on.
 */
export class Witness {
  /** The etags of objects whose content was read, by key, and what that hashed to. */
  readonly #read = new Map<string, { etag: string; digest: string; bytes: Uint8Array | null }>();
  /** What manifests name, by digest; their bytes are the same for ever. */
  readonly #named = new Map<string, readonly string[]>();
  /** Bodies that had the right digest, by that digest. */
  readonly #bodies = new Map<string, string>();

  async look(allowed: Allowed = {}): Promise<{
    readonly snapshot: Snapshot;
    readonly violations: readonly string[];
  }> {
    const snapshot = await takeSnapshot(ROW_CHECKS.map(({ sql }) => sql));
    const byRows = ROW_CHECKS.flatMap(({ name, isAllowed }, at) =>
      (snapshot.extra[at] ?? [])
        .filter((row) => isAllowed?.(row, allowed) !== true)
        .map((row) => `${name}: ${JSON.stringify(row)}`),
    );
    const violations = [
      ...byRows,
      ...(await this.#wrongManifests(snapshot)),
      ...(await this.#wrongBlobs(snapshot)),
      ...unownedObjects(snapshot),
    ];
    this.#forget(snapshot);
    return { snapshot, violations };
  }

  /** The digests that a manifest names and its repository must have; null: it was never seen. */
  namedBy(digest: string): readonly string[] | null {
    return this.#named.get(digest) ?? null;
  }

  /** I6: the bytes are those of the digest. I7: what a manifest names, it is linked to. */
  async #wrongManifests(snapshot: Snapshot): Promise<readonly string[]> {
    const violations: string[] = [];
    for (const manifest of snapshot.manifests) {
      const { digest, repositoryId, blobIds, childDigests } = manifest;
      const actual = await this.#digestOfBody(manifest, snapshot);
      if (actual !== digest) {
        violations.push(`I6 manifest ${digest} has the bytes of ${actual}`);
      } else if (snapshot.repositories.get(repositoryId) !== 3) {
        const linked = new Set([
          ...childDigests,
          ...blobIds.map((id) => snapshot.blobsById.get(id)?.digest),
        ]);
        violations.push(
          ...(this.namedBy(digest) ?? ['anything'])
            .filter((named) => !linked.has(named))
            .map((named) => `I7 manifest ${digest} is not linked to ${named}`),
        );
      }
    }
    return violations;
  }

  async #digestOfBody(manifest: StoredManifest, snapshot: Snapshot): Promise<string | null> {
    const { digest, bytes, bytesKey } = manifest;
    if (bytes === null) {
      const object = await this.#readOnce(String(bytesKey), digest, snapshot);
      this.#learn(manifest, object?.bytes ?? null);
      return object?.digest ?? null;
    }
    if (this.#bodies.get(digest) === bytes) {
      return digest;
    }
    const actual = await computeDigest(algorithmOf(digest as Digest), encodeUtf8(bytes));
    if (actual === digest) {
      this.#bodies.set(digest, bytes);
      this.#learn(manifest, encodeUtf8(bytes));
    }
    return actual;
  }

  #learn({ digest, mediaType }: StoredManifest, bytes: Uint8Array | null): void {
    if (bytes === null || this.#named.has(digest)) {
      return;
    }
    const parsed = parseStoredManifest(new Uint8Array(bytes), {
      mediaType,
      digest: digest as Digest,
    });
    this.#named.set(
      digest,
      parsed.kind === 'image'
        ? parsed.localBlobDigests
        : parsed.manifests.map((child) => child.digest),
    );
  }

  /** I-BYTES, I-DIGEST: a blob's object is there, has its size and its digest. */
  async #wrongBlobs(snapshot: Snapshot): Promise<readonly string[]> {
    const violations: string[] = [];
    for (const { digest, sizeBytes, objectKey } of snapshot.blobs) {
      const object = await this.#readOnce(objectKey, digest, snapshot);
      const size = snapshot.objects.get(objectKey)?.size;
      if (object?.digest !== digest || size !== sizeBytes) {
        const actual = object === null ? 'none' : `${object.digest} of ${size} bytes`;
        violations.push(`I-BYTES blob ${digest} of ${sizeBytes} bytes has as object ${actual}`);
      }
    }
    return violations;
  }

  /** What an object hashes to, by the algorithm of a digest; null if it is not there. */
  async #readOnce(key: string, digest: string, { objects }: Snapshot) {
    const listed = objects.get(key);
    const known = this.#read.get(key);
    if (listed === undefined || known?.etag === listed.etag) {
      return listed === undefined ? null : (known ?? null);
    }
    const object = await env.BUCKET.get(key);
    if (object === null) {
      return null;
    }
    const bytes = new Uint8Array(await object.arrayBuffer());
    const read = {
      etag: object.etag,
      digest: await computeDigest(algorithmOf(digest as Digest), bytes),
      bytes: key.startsWith('manifests/') ? bytes : null,
    };
    this.#read.set(key, read);
    return read;
  }

  /** What is gone need not be remembered; keys are never used again. */
  #forget({ objects, manifests }: Snapshot): void {
    for (const key of this.#read.keys()) {
      if (!objects.has(key)) {
        this.#read.delete(key);
      }
    }
    const digests = new Set(manifests.map(({ digest }) => digest));
    for (const known of [this.#named, this.#bodies]) {
      for (const digest of known.keys()) {
        if (!digests.has(digest)) {
          known.delete(digest);
        }
      }
    }
  }
}

/** I-OWN: every object in the bucket is named by a row. */
function unownedObjects({ objects, ownedKeys, ownedPrefixes }: Snapshot): readonly string[] {
  return [...objects.keys()]
    .filter((key) => key !== EMPTY_BLOB_KEY && !ownedKeys.has(key))
    .filter((key) => !ownedPrefixes.some((prefix) => key.startsWith(prefix)))
    .map((key) => `I-OWN nobody names ${key}`);
}
