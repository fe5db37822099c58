import type { NamespaceName, RepositoryPath } from './names.ts';
import type { EpochMs } from './time.ts';

/** What the audit log tells of: Quay's names, and where it has none, ours. */
export type AuditKind =
  // The distribution API, and who logs in.
  | 'push_repo'
  | 'pull_repo'
  | 'delete_tag'
  | 'create_repo'
  | 'login_success'
  | 'login_failure'
  // Tags.
  | 'create_tag'
  | 'move_tag'
  | 'revert_tag'
  | 'permanently_delete_tag'
  | 'change_tag_expiration'
  | 'change_tag_immutability'
  // Labels and policies.
  | 'manifest_label_add'
  | 'manifest_label_delete'
  | 'create_immutability_policy'
  | 'update_immutability_policy'
  | 'delete_immutability_policy'
  | 'tags_made_immutable_by_policy'
  | 'create_namespace_autoprune_policy'
  | 'update_namespace_autoprune_policy'
  | 'delete_namespace_autoprune_policy'
  | 'create_repository_autoprune_policy'
  | 'update_repository_autoprune_policy'
  | 'delete_repository_autoprune_policy'
  // Repositories, accounts and namespaces.
  | 'delete_repo'
  | 'set_repo_description'
  | 'change_repo_visibility'
  | 'change_repo_state'
  | 'change_repo_permission'
  | 'delete_repo_permission'
  | 'create_robot'
  | 'change_robot'
  | 'delete_robot'
  | 'regenerate_robot_token'
  | 'create_robot_federation'
  | 'delete_robot_federation'
  | 'create_app_specific_token'
  | 'revoke_app_specific_token'
  | 'user_create'
  | 'user_delete'
  | 'user_change_tag_expiration'
  | 'org_create'
  | 'org_delete'
  | 'org_change'
  | 'org_change_tag_expiration'
  | 'org_add_member'
  | 'org_change_member'
  | 'org_remove_member'
  | 'org_create_quota'
  | 'org_change_quota'
  | 'org_delete_quota'
  | 'org_change_regions'
  | 'add_repo_notification'
  | 'reset_repo_notification'
  | 'delete_repo_notification'
  // What Quay has not.
  | 'test_repo_notification'
  | 'collect_garbage'
  | 'release_tags'
  | 'undo_release'
  | 'start_import'
  | 'cancel_import'
  | 'set_security_status'
  | 'reset_security_status';

/** Who did something, by the name of then. */
export type Performer =
  | { readonly kind: 'administrator' | 'user' | 'robot'; readonly name: string }
  | { readonly kind: 'anonymous'; readonly name: null };

/** More of what happened: few and short values. */
export type AuditMetadata = Readonly<
  Record<string, string | number | boolean | null | readonly string[]>
>;

/** Where a request came from. */
export interface RequestSource {
  /** The client's address, as the edge gives it; null: there is no edge. */
  readonly ip: string | null;
  /** ISO 3166; null: not known. */
  readonly country: string | null;
}

/** Something that somebody did. */
export interface AuditRecord extends RequestSource {
  readonly atMs: EpochMs;
  readonly kind: AuditKind;
  readonly performer: Performer;
  /** What it happened to, by its names of then. */
  readonly namespaceName: NamespaceName | null;
  readonly repositoryName: RepositoryPath | null;
  readonly metadata: AuditMetadata;
}
