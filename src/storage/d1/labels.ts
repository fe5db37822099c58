import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { manifestLabel } from './schema/labels.ts';
import { manifest } from './schema/manifests.ts';
import { defineStatement } from './statement.ts';

/** Puts labels on the manifest `m`, from a JSON list of labels, in its order. */
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
