import type { RepositoryRef } from '../../src/model/references.ts';
import { execute, select } from './stage.ts';

/** Notes that somebody was told that the tags will end. */
export async function markNotified(
  repository: RepositoryRef,
  tagIds: readonly number[],
): Promise<void> {
  await execute(
    `INSERT INTO repository_notification (uuid, repository_id, event, method, config_json)
      VALUES (?, ?, 'repo_image_expiry', 'webhook', '{}')`,
    crypto.randomUUID(),
    repository.id,
  );
  await execute(
    `INSERT INTO tag_notification_success (notification_id, tag_id, method)
      SELECT max(n.id), tag.value, 'webhook'
      FROM repository_notification n, json_each(?) tag GROUP BY tag.value`,
    JSON.stringify(tagIds),
  );
}

/** The tags whose end somebody was told of. */
export async function notifiedTags(): Promise<readonly number[]> {
  const rows = await select('SELECT tag_id FROM tag_notification_success ORDER BY tag_id');
  return rows.map((row) => Number(row['tag_id']));
}
