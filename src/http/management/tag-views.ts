import { z } from '@hono/zod-openapi';

import type { Tag } from '../../model/datatypes.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import type { TagPullStatistics } from '../../registry/pulls/statistics.ts';
import { digestText, epochSec, rfc2822, rfc3339, tagNameText } from './schemas.ts';

/** What the endpoints of tags answer. */

const count = z.int().min(0);

export const tagView = z
  .strictObject({
    name: tagNameText,
    reversion: z.boolean().openapi({ description: 'Whether a restore made it.' }),
    start_ts: epochSec.openapi({ description: 'Since when, in seconds.' }),
    end_ts: epochSec.optional().openapi({ description: 'Until when, in seconds, if it ends.' }),
    manifest_digest: digestText,
    is_manifest_list: z.boolean(),
    size: count.nullable().openapi({ description: 'Bytes of all layers; null for a list.' }),
    last_modified: rfc2822,
    expiration: rfc2822.optional(),
    immutable: z.boolean().optional().openapi({ description: 'There while tags can be locked.' }),
    release: z.uuid().optional().openapi({ description: 'The release that it is a part of.' }),
    is_sparse: z.boolean().optional().openapi({ description: 'Of a list: not all of it is here.' }),
    child_manifest_count: count.optional(),
    present_child_count: count.optional(),
    child_manifests_presence: z.record(z.string(), z.boolean()).optional(),
  })
  .openapi('Tag');

/** `children`: of a list, which manifests it names and whether they are here; else undefined. */
export function toTagView(
  {
    name,
    reversion,
    immutable,
    lifetimeStartMs,
    lifetimeEndMs,
    manifest,
    releaseUuid,
    ...tag
  }: Tag,
  {
    children,
    isLockable,
  }: { readonly children: ReadonlyMap<string, boolean> | undefined; readonly isLockable: boolean },
): z.infer<typeof tagView> {
  const present = [...(children?.values() ?? [])].filter((isPresent) => isPresent).length;
  return {
    name,
    reversion,
    start_ts: tag.lifetimeStartTs,
    ...(tag.lifetimeEndTs ? { end_ts: tag.lifetimeEndTs } : {}),
    manifest_digest: tag.manifestDigest,
    is_manifest_list: manifest.isManifestList,
    size: manifest.layersCompressedSize,
    last_modified: formatRfc2822(lifetimeStartMs),
    ...(lifetimeEndMs === null ? {} : { expiration: formatRfc2822(lifetimeEndMs) }),
    ...(isLockable ? { immutable } : {}),
    ...(releaseUuid === null ? {} : { release: releaseUuid }),
    ...(children === undefined
      ? {}
      : {
          is_sparse: present < children.size,
          child_manifest_count: children.size,
          present_child_count: present,
          child_manifests_presence: Object.fromEntries(children),
        }),
  };
}

export const tagPullsView = z
  .strictObject({
    tag_name: tagNameText,
    tag_pull_count: count,
    last_tag_pull_date: rfc3339.nullable(),
    current_manifest_digest: digestText,
    manifest_pull_count: count,
    last_manifest_pull_date: rfc3339.nullable(),
  })
  .openapi('TagPulls');

export function toTagPullsView(pulls: TagPullStatistics): z.infer<typeof tagPullsView> {
  return {
    tag_name: pulls.tagName,
    tag_pull_count: pulls.tagPullCount,
    last_tag_pull_date: timeOrNull(pulls.lastTagPullMs),
    current_manifest_digest: pulls.currentManifestDigest,
    manifest_pull_count: pulls.manifestPullCount,
    last_manifest_pull_date: timeOrNull(pulls.lastManifestPullMs),
  };
}

function timeOrNull(timeMs: number | null): string | null {
  return timeMs === null ? null : formatRfc3339(timeMs);
}
