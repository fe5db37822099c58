import { z } from '@hono/zod-openapi';

import type { Release } from '../../registry/tags/releases.ts';
import {
  accountNameText,
  digestText,
  errorView,
  repositoryNameText,
  rfc3339,
  tagNameText,
} from './schemas.ts';

/** What the endpoints of releases answer. */

export const releaseView = z
  .strictObject({
    release: z.uuid().openapi({ description: 'What it is undone by.' }),
    released_at: rfc3339,
    performer: accountNameText.openapi({ description: 'Who did it, by the name of then.' }),
    undoes: z.uuid().optional().openapi({ description: 'The release that it put back.' }),
    undone_by: z.uuid().optional().openapi({ description: 'The release that put it back.' }),
    moves: z.array(
      z.strictObject({
        repository: repositoryNameText,
        tag: tagNameText,
        manifest_digest: digestText.nullable().openapi({ description: 'Null: it was ended.' }),
        previous_digest: digestText.nullable().openapi({ description: 'Null: it was not there.' }),
      }),
    ),
  })
  .openapi('Release');

export function toReleaseView(release: Release): z.infer<typeof releaseView> {
  const { uuid, namespaceName, releasedMs, performer, undoes, undoneBy, moves } = release;
  return {
    release: uuid,
    released_at: new Date(releasedMs).toISOString(),
    performer: performer.name ?? performer.kind,
    ...(undoes === null ? {} : { undoes }),
    ...(undoneBy === null ? {} : { undone_by: undoneBy }),
    moves: moves.map(({ repositoryName, tagName, digest, beforeDigest }) => ({
      repository: `${namespaceName}/${repositoryName}`,
      tag: tagName,
      manifest_digest: digest,
      previous_digest: beforeDigest,
    })),
  };
}

/** A refusal that names the move it is for; none if the release was undone already. */
export const refusedReleaseView = z
  .strictObject({
    ...errorView.shape,
    move: z
      .strictObject({
        index: z.int().min(0),
        repository: repositoryNameText,
        tag: tagNameText,
        reason: z.enum(['tag_moved', 'tag_immutable', 'manifest_unknown', 'repository_gone']),
        current_digest: digestText.nullable(),
      })
      .optional(),
  })
  .openapi('RefusedRelease');
