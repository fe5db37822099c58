import { z } from '@hono/zod-openapi';

import type { NamespaceInfo } from '../../model/access.ts';
import type { Tag } from '../../model/datatypes.ts';
import {
  REPOSITORY_STATES,
  type RepositoryRef,
  type RepositoryState,
} from '../../model/references.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import {
  digestText,
  namespaceNameText,
  repositoryPathText,
  rfc2822,
  tagNameText,
} from './schemas.ts';

/** What the endpoints of repositories answer. */

const STATE_NAMES = {
  [REPOSITORY_STATES.normal]: 'NORMAL',
  [REPOSITORY_STATES.readOnly]: 'READ_ONLY',
  [REPOSITORY_STATES.mirror]: 'MIRROR',
  [REPOSITORY_STATES.markedForDeletion]: 'MARKED_FOR_DELETION',
  [REPOSITORY_STATES.organizationMirror]: 'ORG_MIRROR',
} as const satisfies Record<RepositoryState, string>;

const common = {
  namespace: namespaceNameText,
  name: repositoryPathText,
  kind: z.enum(['image', 'application']),
  is_public: z.boolean(),
  state: z.enum(['NORMAL', 'READ_ONLY', 'MIRROR', 'ORG_MIRROR', 'MARKED_FOR_DELETION']),
};

export const listedRepositoryView = z.strictObject(common);

export const descriptionText = z.string().openapi({ example: 'What the shop runs on.' });

export const describedRepositoryView = z
  .strictObject({
    ...common,
    description: descriptionText,
    last_modified: z.int().nullable().optional().openapi({
      description:
        'With `last_modified`: when its newest tag was made, in seconds; null if it has none.',
    }),
  })
  .openapi('ListedRepository');

export function toListedView(repository: RepositoryRef): z.infer<typeof listedRepositoryView> {
  return {
    namespace: repository.namespaceName,
    name: repository.name,
    kind: repository.kind,
    is_public: repository.isPublic,
    state: STATE_NAMES[repository.state],
  };
}

export const repositoryView = z
  .strictObject({
    ...common,
    description: descriptionText,
    is_organization: z.boolean(),
    tag_expiration_s: z.int().min(0),
    can_write: z.boolean(),
    can_admin: z.boolean(),
    tags: z
      .record(
        z.string(),
        z.strictObject({
          name: tagNameText,
          size: z.int().min(0).nullable(),
          last_modified: rfc2822,
          expiration: rfc2822.optional(),
          manifest_digest: digestText,
        }),
      )
      .optional()
      .openapi({ description: 'By name, the newest 500 at most.' }),
  })
  .openapi('Repository');

export function toRepositoryView(
  repository: RepositoryRef,
  {
    namespace,
    description,
    canWrite,
    canAdmin,
    tags,
  }: {
    readonly namespace: NamespaceInfo;
    readonly description: string;
    readonly canWrite: boolean;
    readonly canAdmin: boolean;
    /** Null: they were not asked for. */
    readonly tags: readonly Tag[] | null;
  },
): z.infer<typeof repositoryView> {
  return {
    ...toListedView(repository),
    description,
    is_organization: namespace.kind === 'organization',
    tag_expiration_s: namespace.windowSec,
    can_write: canWrite,
    can_admin: canAdmin,
    ...(tags === null
      ? {}
      : { tags: Object.fromEntries(tags.map((tag) => [tag.name, toTag(tag)])) }),
  };
}

function toTag({ name, manifest, manifestDigest, lifetimeStartMs, lifetimeEndMs }: Tag) {
  return {
    name,
    size: manifest.layersCompressedSize,
    last_modified: formatRfc2822(lifetimeStartMs),
    ...(lifetimeEndMs === null ? {} : { expiration: formatRfc2822(lifetimeEndMs) }),
    manifest_digest: manifestDigest,
  };
}
