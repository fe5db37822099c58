import { sql } from 'drizzle-orm';

import type { ManifestInfo } from '../../model/references.ts';
import { isAvailable } from './conditions.ts';
import type { RepositoryNameValues } from './repositories.ts';
import {
  type ManifestBodyRow,
  type ManifestRow,
  manifestBodyColumns,
  manifestColumns,
  type StoredManifest,
  toManifestInfo,
  toStoredManifest,
} from './rows.ts';
import { manifest } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

/** A referrer; its body only if that is small enough to come along with a whole page. */
export interface ReferrerRow {
  readonly info: ManifestInfo;
  readonly text: string | null;
}

/**
 * The manifests of a repository whose subject is this digest and which an alive tag holds, in order
 * of their ids after one, of all artifact types or of one.
 */
export const referrersStatement = defineStatement<
  RepositoryNameValues & {
    subjectDigest: string;
    artifactType: string | null;
    afterId: number;
    limit: number;
    nowMs: number;
    bodyBytesMax: number;
  },
  ManifestRow & { text: string | null },
  ReferrerRow
>(
  (p) => sql`
    SELECT ${manifestColumns},
      CASE WHEN m.size_bytes <= ${p.bodyBytesMax} THEN m.bytes END AS text
    FROM ${namespace} n
      CROSS JOIN ${repository} r
        ON r.namespace_id = n.id AND r.name = ${p.repository} AND r.state <> 3
      CROSS JOIN ${manifest} m INDEXED BY manifest_subject
        ON m.repository_id = r.id AND m.subject_digest = ${p.subjectDigest} AND m.id > ${p.afterId}
    WHERE n.name = ${p.namespace}
      AND (${p.artifactType} IS NULL OR m.artifact_type = ${p.artifactType})
      AND ${isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden: true })}
    ORDER BY m.id LIMIT ${p.limit}`,
  (row) => ({ info: toManifestInfo(row), text: row.text }),
);

/** The manifests of a JSON list of ids, with their bodies. */
export const manifestBodiesStatement = defineStatement<
  { manifestIds: string },
  ManifestRow & ManifestBodyRow,
  StoredManifest
>(
  (p) => sql`
    SELECT ${manifestColumns}, ${manifestBodyColumns}
    FROM json_each(${p.manifestIds}) named CROSS JOIN ${manifest} m ON m.id = named.value`,
  toStoredManifest,
);
