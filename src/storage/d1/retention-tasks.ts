import { sql } from 'drizzle-orm';

import { namespace, repository } from './schema/repositories.ts';
import {
  namespaceRetentionPolicy,
  repositoryRetentionPolicy,
  retentionTask,
} from './schema/retention.ts';
import { defineStatement } from './statement.ts';

/** A task as a run took it up. */
export interface RetentionTask {
  readonly taskId: number;
  readonly version: number;
}

/**
 * Takes up the task that has been due for the longest time. It is due again at `retryMs`, so that
 * one whose run dies or fails does not stand before the others.
 */
export const takeRetentionTaskStatement = defineStatement<
  { nowMs: number; retryMs: number },
  RetentionTask
>(
  (p) => sql`
    UPDATE ${retentionTask} SET due_ms = ${p.retryMs} WHERE id = (
      SELECT task.id FROM ${retentionTask} task INDEXED BY retention_task_due
      WHERE task.due_ms <= ${p.nowMs} ORDER BY task.due_ms LIMIT 1)
    RETURNING id AS taskId, version AS version`,
);

/** A repository that a task has still to do. */
export interface RetainedRepository {
  readonly repositoryId: number;
  readonly repositoryName: string;
}

/** The next repositories of a task, by name; a repository's own task has one at most. */
export const retainedRepositoriesStatement = defineStatement<
  { taskId: number; limit: number },
  RetainedRepository
>(
  (p) => sql`
    SELECT r.id AS repositoryId, r.name AS repositoryName FROM ${retentionTask} task
      CROSS JOIN ${repository} r ON r.id = task.repository_id AND r.state = 0
        AND r.name > task.after_repository
    WHERE task.id = ${p.taskId}
    UNION ALL
    SELECT * FROM (
      SELECT r.id, r.name FROM ${retentionTask} task
        CROSS JOIN ${namespace} n ON n.id = task.namespace_id AND n.enabled = 1
        CROSS JOIN ${repository} r ON r.namespace_id = n.id AND r.name > task.after_repository
      WHERE task.id = ${p.taskId} AND r.state = 0
      ORDER BY r.name LIMIT ${p.limit})`,
);

type TaskRow = { taskId: number; version: number };

/** Writes down how far a task has come, null: no further; it is due at `dueMs`. */
export const advanceRetentionTaskStatement = defineStatement<
  TaskRow & { afterRepository: string | null; dueMs: number },
  { taskId: number }
>(
  (p) => sql`
    UPDATE ${retentionTask} SET
      after_repository = coalesce(${p.afterRepository}, after_repository), due_ms = ${p.dueMs}
    WHERE id = ${p.taskId} AND version = ${p.version} RETURNING id AS taskId`,
);

/** Forgets a task whose owner has no policies any more. */
export const dropIdleRetentionTaskStatement = defineStatement<TaskRow>(
  (p) => sql`
    DELETE FROM ${retentionTask} WHERE id = ${p.taskId} AND version = ${p.version}
      AND NOT EXISTS (SELECT 1 FROM ${namespaceRetentionPolicy} policy
        WHERE policy.namespace_id = retention_task.namespace_id)
      AND NOT EXISTS (SELECT 1 FROM ${repositoryRetentionPolicy} policy
        WHERE policy.repository_id = retention_task.repository_id)`,
);
