import { type SQL, sql } from 'drizzle-orm';

import type { EpochMs } from '../../model/time.ts';
import { EMPTY_BLOB_KEY } from '../r2/paths.ts';
import { gcAudit, gcAuditFinding } from './schema/audit.ts';
import { blob } from './schema/blobs.ts';
import { r2Tombstone } from './schema/garbage.ts';
import { manifest } from './schema/manifests.ts';
import { blobUpload } from './schema/uploads.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The audit's passes, and its look at objects. A pass is a row that says how far it has come; each
 * step names the place that it goes on from, and does nothing if the pass is there no more.
 */

/** What a pass goes through, in this order: hints of repositories, rows, then objects in R2. */
export type RowStage = 'hints' | 'manifests' | 'blobs';
export type ObjectStage = 'blob-objects' | 'manifest-objects' | 'upload-objects';

/** What is found, and counted by the column of the same name. */
export type FindingKind =
  | 'late_hint'
  | 'unlisted_manifest'
  | 'unlisted_blob'
  | 'unowned_object'
  | 'damaged_blob';

/** A pass of the audit. */
export interface AuditPass {
  readonly auditId: number;
  readonly beganMs: EpochMs;
  /** Null while it is under way. */
  readonly endedMs: EpochMs | null;
  /** What is done: rows up to an id, or objects up to a key, of a stage and all stages before. */
  readonly position: {
    readonly stage: RowStage | ObjectStage;
    readonly afterId: number;
    readonly afterKey: string;
  };
  /** What was looked at. */
  readonly checked: {
    readonly repositories: number;
    readonly manifests: number;
    readonly blobs: number;
    readonly objects: number;
    /** Blobs, drawn at random, that R2 was asked for; one that was drawn twice counts twice. */
    readonly sampledBlobs: number;
  };
  /** What was found; each is 0 unless something is wrong. */
  readonly found: {
    /** Repositories that garbage collection would have visited too late, or never. */
    readonly lateHints: number;
    /** Manifests that nothing names and that were on no list of candidates. */
    readonly unlistedManifests: number;
    /** Blobs that nothing holds and that were on no list of candidates. */
    readonly unlistedBlobs: number;
    /** Objects in R2 that no row names. */
    readonly unownedObjects: number;
    /** Of the sample: blobs whose object is missing or of another size. */
    readonly damagedBlobs: number;
  };
}

export interface RawPass {
  auditId: number;
  beganMs: number;
  endedMs: number | null;
  stage: RowStage | ObjectStage;
  afterId: number;
  afterKey: string;
  repositories: number;
  manifests: number;
  blobs: number;
  objects: number;
  sampledBlobs: number;
  lateHints: number;
  unlistedManifests: number;
  unlistedBlobs: number;
  unownedObjects: number;
  damagedBlobs: number;
}

export const passColumns: SQL = sql.raw(`
  id AS auditId, began_ms AS beganMs, ended_ms AS endedMs, stage AS stage, after_id AS afterId,
  after_key AS afterKey, repositories_checked AS repositories, manifests_checked AS manifests,
  blobs_checked AS blobs, objects_checked AS objects, blobs_sampled AS sampledBlobs,
  late_hints AS lateHints, unlisted_manifests AS unlistedManifests,
  unlisted_blobs AS unlistedBlobs, unowned_objects AS unownedObjects,
  damaged_blobs AS damagedBlobs`);

export function toPass(raw: RawPass): AuditPass {
  const { auditId, stage, afterId, afterKey } = raw;
  const { repositories, manifests, blobs, objects, sampledBlobs } = raw;
  const { lateHints, unlistedManifests, unlistedBlobs, unownedObjects, damagedBlobs } = raw;
  return {
    auditId,
    beganMs: raw.beganMs as EpochMs,
    endedMs: raw.endedMs as EpochMs | null,
    position: { stage, afterId, afterKey },
    checked: { repositories, manifests, blobs, objects, sampledBlobs },
    found: { lateHints, unlistedManifests, unlistedBlobs, unownedObjects, damagedBlobs },
  };
}

/** Begins a pass, unless one is under way or the last began after `beganBeforeMs`. */
export const beginAuditStatement = defineStatement<{ nowMs: number; beganBeforeMs: number }>(
  (p) => sql`
    INSERT INTO ${gcAudit} (began_ms) SELECT ${p.nowMs} WHERE NOT EXISTS (
      SELECT 1 FROM ${gcAudit} last WHERE last.id > 0
        AND (last.ended_ms IS NULL OR last.began_ms > ${p.beganBeforeMs}))`,
);

/** Forgets the passes before the last one that ended, and what they found. */
export const forgetAuditsStatement = defineStatement<Record<string, never>>(
  () => sql`
    DELETE FROM ${gcAudit} WHERE id < (
      SELECT max(ended.id) FROM ${gcAudit} ended WHERE ended.id > 0 AND ended.ended_ms IS NOT NULL)`,
);

/** The passes that are known, the newest first: one that is under way, and the last that ended. */
export const auditPassesStatement = defineStatement<{ limit: number }, RawPass, AuditPass>(
  (p) => sql`
    SELECT ${passColumns} FROM ${gcAudit} WHERE id > 0 ORDER BY id DESC LIMIT ${p.limit}`,
  toPass,
);

/** One pass as it is now. */
export const auditPassStatement = defineStatement<{ auditId: number }, RawPass, AuditPass>(
  (p) => sql`SELECT ${passColumns} FROM ${gcAudit} WHERE id = ${p.auditId}`,
  toPass,
);

/** Something that a pass found, by its name. */
export interface AuditFinding {
  readonly kind: FindingKind;
  readonly subject: string;
}

/** What the passes from this one on found, as far as it was named. */
export const auditFindingsStatement = defineStatement<
  { auditId: number },
  AuditFinding & { auditId: number }
>(
  (p) => sql`
    SELECT named.audit_id AS auditId, named.kind AS kind, named.subject AS subject
    FROM ${gcAuditFinding} named WHERE named.audit_id >= ${p.auditId}
    ORDER BY named.audit_id, named.kind, named.subject`,
);

/** Writes down the subjects that a query gives, as far as there is room for this kind. */
export const nameFindings = (
  p: Parameters<{ auditId: number; namedMax: number }>,
  kind: FindingKind,
  subjects: SQL,
): SQL => {
  const kindText = sql.raw(`'${kind}'`);
  return sql`
    INSERT INTO ${gcAuditFinding} (audit_id, kind, subject)
    SELECT ${p.auditId}, ${kindText}, found.subject FROM (${subjects}) found WHERE true
    LIMIT max(0, ${p.namedMax} - (SELECT count(*) FROM ${gcAuditFinding} named
      WHERE named.audit_id = ${p.auditId} AND named.kind = ${kindText}))
    ON CONFLICT DO NOTHING`;
};

type ObjectPlace = { auditId: number; stage: string; afterKey: string };

const isAtKey = (p: Parameters<ObjectPlace>, alias: string): SQL => {
  const pass = sql.raw(alias);
  return sql`${pass}.id = ${p.auditId} AND ${pass}.ended_ms IS NULL
      AND ${pass}.stage = ${p.stage} AND ${pass}.after_key = ${p.afterKey}`;
};

/**
 * Those of a JSON list of keys that no row names. A tail is looked for by the prefix that its upload
 * owns, which needs no index of its own. A multipart's tombstone deletes no object.
 */
const unownedKeys = (p: Parameters<{ keys: string }>): SQL => sql`
    SELECT listed.value AS subject FROM json_each(${p.keys}) listed
    WHERE listed.value <> ${sql.raw(`'${EMPTY_BLOB_KEY}'`)}
      AND NOT EXISTS (SELECT 1 FROM ${blob} b WHERE b.object_key = listed.value)
      AND NOT EXISTS (SELECT 1 FROM ${manifest} m WHERE m.bytes_key = listed.value)
      AND NOT EXISTS (SELECT 1 FROM ${blobUpload} u WHERE u.object_key = listed.value)
      AND NOT EXISTS (SELECT 1 FROM ${blobUpload} u WHERE substr(listed.value, 1, 8) = 'uploads/'
        AND u.uuid = substr(listed.value, 9, instr(substr(listed.value, 9), '/') - 1))
      AND NOT EXISTS (SELECT 1 FROM ${r2Tombstone} grave
        WHERE grave.object_key = listed.value AND grave.kind = 'key')
      AND NOT EXISTS (SELECT 1 FROM ${r2Tombstone} grave WHERE grave.kind = 'prefix'
        AND grave.object_key = substr(listed.value, 1, 8 + instr(substr(listed.value, 9), '/')))`;

export const unownedKeysStatement = defineStatement<{ keys: string }, { key: string }>(
  (p) => sql`SELECT unowned.subject AS key FROM (${unownedKeys(p)}) unowned`,
);

type ObjectStep = ObjectPlace & {
  /** The keys of the page that are old enough, a JSON list. */
  keys: string;
  checked: number;
  nextStage: string;
  nextAfterKey: string;
  /** Of the last page of all; null of the others. */
  endedMs: number | null;
};

const moveBehindKeys = (p: Parameters<ObjectStep>, unowned: SQL, condition: SQL): SQL => sql`
    UPDATE ${gcAudit} AS pass SET unowned_objects = unowned_objects + ${unowned},
      objects_checked = objects_checked + ${p.checked},
      stage = ${p.nextStage}, after_key = ${p.nextAfterKey}, ended_ms = ${p.endedMs}
    WHERE ${isAtKey(p, 'pass')} AND ${condition} RETURNING ${passColumns}`;

/** Goes on behind a page of objects if a row names each; the pass comes back if so. */
export const passOwnedObjectsStatement = defineStatement<ObjectStep, RawPass, AuditPass>(
  (p) => moveBehindKeys(p, sql`0`, sql`NOT EXISTS (${unownedKeys(p)})`),
  toPass,
);

export const nameUnownedObjectsStatement = defineStatement<ObjectStep & { namedMax: number }>((p) =>
  nameFindings(
    p,
    'unowned_object',
    sql`SELECT unowned.subject FROM (${unownedKeys(p)}) unowned
      WHERE EXISTS (SELECT 1 FROM ${gcAudit} pass WHERE ${isAtKey(p, 'pass')})`,
  ),
);

/** Buries those of the keys that no row names. */
export const buryUnownedObjectsStatement = defineStatement<
  ObjectStep & { dueMs: number; nowMs: number }
>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    SELECT unowned.subject, 'key', ${p.dueMs}, ${p.nowMs} FROM (${unownedKeys(p)}) unowned
    WHERE EXISTS (SELECT 1 FROM ${gcAudit} pass WHERE ${isAtKey(p, 'pass')})
    ON CONFLICT DO NOTHING`,
);

/** Stands directly behind the burial: counts what it wrote, and goes on. */
export const countUnownedObjectsStatement = defineStatement<ObjectStep>((p) =>
  moveBehindKeys(p, sql`changes()`, sql`true`),
);

/** A blob whose object is looked for. */
export interface SampledBlob {
  readonly blobId: number;
  readonly objectKey: string;
  readonly sizeBytes: number;
}

/** Blobs drawn at random, each row behind a random id. */
export const sampleBlobsStatement = defineStatement<{ limit: number }, SampledBlob>(
  (p) => sql`
    WITH RECURSIVE draw(n, number) AS (
      SELECT 1, random() UNION ALL SELECT n + 1, random() FROM draw WHERE n < ${p.limit})
    SELECT DISTINCT b.id AS blobId, b.object_key AS objectKey, b.size_bytes AS sizeBytes
    FROM draw CROSS JOIN ${blob} b ON b.id = (
      SELECT next.id FROM ${blob} next
      WHERE next.id > abs(draw.number % (SELECT max(top.id) FROM ${blob} top))
      ORDER BY next.id LIMIT 1)`,
);

type Sample = { auditId: number; damaged: string };

/**
 * Those of a JSON list of `{blobId, objectKey, sizeBytes}` that are still what they were when R2 was
 * asked: neither collected nor repaired since, and not found by this pass before.
 */
const damagedBlobs = (p: Parameters<Sample>): SQL => sql`
    SELECT b.digest AS subject FROM json_each(${p.damaged}) given
      CROSS JOIN ${blob} b ON b.id = given.value ->> 'blobId'
        AND b.object_key = given.value ->> 'objectKey'
        AND b.size_bytes = given.value ->> 'sizeBytes'
    WHERE NOT EXISTS (SELECT 1 FROM ${gcAuditFinding} known WHERE known.audit_id = ${p.auditId}
      AND known.kind = 'damaged_blob' AND known.subject = b.digest)`;

/** Counts a sample and what was found damaged in it; stands before what names them. */
export const countSampleStatement = defineStatement<
  Sample & { sampled: number },
  RawPass,
  AuditPass
>(
  (p) => sql`
    UPDATE ${gcAudit} SET blobs_sampled = blobs_sampled + ${p.sampled},
      damaged_blobs = damaged_blobs + (SELECT count(*) FROM (${damagedBlobs(p)}))
    WHERE id = ${p.auditId} RETURNING ${passColumns}`,
  toPass,
);

export const nameDamagedBlobsStatement = defineStatement<Sample & { namedMax: number }>((p) =>
  nameFindings(
    p,
    'damaged_blob',
    sql`SELECT damaged.subject FROM (${damagedBlobs(p)}) damaged
      WHERE EXISTS (SELECT 1 FROM ${gcAudit} pass WHERE pass.id = ${p.auditId})`,
  ),
);
