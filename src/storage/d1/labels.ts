import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import type { Label, LabelSource } from '../../model/datatypes.ts';
import { repositoryIsLive } from './conditions.ts';
import { manifestLabel } from './schema/labels.ts';
import { manifest } from './schema/manifests.ts';
import { defineStatement } from './statement.ts';

/** Puts labels on the manifest `m`, from a JSON list of {@link Label}, in its order. */
const insertLabels = (labels: Placeholder, isLabelled: SQL): SQL => sql`
    INSERT INTO ${manifestLabel} (uuid, manifest_id, repository_id, key, value, media_type,
      source_type)
    SELECT given.value ->> 'uuid', m.id, m.repository_id, given.value ->> 'key',
      given.value ->> 'value', given.value ->> 'mediaType', given.value ->> 'sourceType'
    FROM ${manifest} m CROSS JOIN json_each(${labels}) given
    WHERE ${isLabelled}`;

/**
 * Copies an image's labels onto its manifest. Each key is copied once, when the manifest is first
 * stored.
 */
export const insertImageLabelsStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  labels: string;
}>(
  (p) => sql`
    ${insertLabels(p.labels, sql`m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}`)}
    ON CONFLICT DO NOTHING`,
);

/** Puts labels on a manifest; rows come back unless it is gone, or its repository is going. */
export const insertLabelsStatement = defineStatement<
  { manifestId: number; labels: string },
  { labelId: number }
>(
  (p) => sql`
    ${insertLabels(
      p.labels,
      sql`m.id = ${p.manifestId} AND ${repositoryIsLive(sql`m.repository_id`)}`,
    )}
    RETURNING id AS labelId`,
);

interface LabelRow {
  labelUuid: string;
  labelKey: string;
  labelValue: string;
  sourceType: string;
  labelMediaType: string;
}

/** Of `manifest_label l`. */
const labelColumns = sql.raw(`l.uuid AS labelUuid, l.key AS labelKey, l.value AS labelValue,
      l.source_type AS sourceType, l.media_type AS labelMediaType`);

function toLabel(row: LabelRow): Label {
  return {
    uuid: row.labelUuid,
    key: row.labelKey,
    value: row.labelValue,
    sourceType: row.sourceType as LabelSource,
    mediaType: row.labelMediaType,
  };
}

/** The labels of a manifest whose keys begin with a text, in the order they were made. */
export const labelsStatement = defineStatement<
  { manifestId: number; keyPrefix: string },
  LabelRow,
  Label
>(
  (p) => sql`
    SELECT ${labelColumns} FROM ${manifestLabel} l INDEXED BY manifest_label_key
    WHERE l.manifest_id = ${p.manifestId}
      AND substr(l.key, 1, length(${p.keyPrefix})) = ${p.keyPrefix}
    ORDER BY l.id`,
  toLabel,
);

/** The label of a UUID, if it is on this manifest. */
export const labelStatement = defineStatement<
  { manifestId: number; uuid: string },
  LabelRow,
  Label
>(
  (p) => sql`
    SELECT ${labelColumns} FROM ${manifestLabel} l
    WHERE l.uuid = ${p.uuid} AND l.manifest_id = ${p.manifestId}`,
  toLabel,
);

/** Removes a label that was made through the API; a row comes back only if this call did. */
export const deleteLabelStatement = defineStatement<
  { manifestId: number; uuid: string },
  { labelId: number }
>(
  (p) => sql`
    DELETE FROM ${manifestLabel}
    WHERE uuid = ${p.uuid} AND manifest_id = ${p.manifestId} AND source_type = 'api'
      AND ${repositoryIsLive(sql`${manifestLabel}.repository_id`)}
    RETURNING id AS labelId`,
);
