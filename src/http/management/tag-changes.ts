import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { Tag } from '../../model/datatypes.ts';
import type { TagName } from '../../model/names.ts';
import type { ManifestInfo, RepositoryRef } from '../../model/references.ts';
import { MS_PER_SECOND } from '../../model/time.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireRepositoryRole, requireWritableRepository } from './access.ts';
import { ManagementError } from './errors.ts';
import { requireDigest } from './parse.ts';
import { digestText } from './schemas.ts';

/** The last second that has a year of four digits. */
const LAST_TIME_SEC = 253_402_300_799;

/** What may be changed of a tag: any of it, but something. */
export const tagChange = z
  .strictObject({
    expiration: z.int().min(0).max(LAST_TIME_SEC).nullable().optional().openapi({
      description: 'When it ends, in seconds; 1 hour to 104 weeks after its start. Null: never.',
    }),
    immutable: z.boolean().optional().openapi({ description: 'False needs an admin.' }),
    manifest_digest: digestText.optional().openapi({
      description: 'What it points to from now on: a manifest that a tag of the repository holds.',
    }),
  })
  .refine((change) => Object.values(change).some((value) => value !== undefined), {
    message: 'expected expiration, immutable or manifest_digest',
  })
  .openapi('TagChange');

type TagChange = z.infer<typeof tagChange>;

/**
 * Changes a tag: its end, its lock, what it points to, in this order. All that can be refused
 * beforehand is, so that a refusal leaves the tag as it was; what others do meanwhile can still
 * refuse the later steps.
 */
export async function changeTag(
  c: Context<AppEnv>,
  { name, tagName }: { readonly name: string; readonly tagName: TagName },
  change: TagChange,
): Promise<void> {
  const { expiration, immutable, manifest_digest: text } = change;
  const digest = text === undefined ? null : requireDigest(text, 'manifest_digest');
  // The time is compared in the clock's milliseconds, as tags end.
  if (typeof expiration === 'number' && expiration * MS_PER_SECOND <= Date.now()) {
    throw new ManagementError('invalid_request', 'expiration: lies in the past');
  }
  const repository = await requireWritableRepository(c, name);
  const { registry, settings } = c.var.scope;
  const [{ items }, manifest] = await Promise.all([
    // The history comes from the primary: what a tag is now decides who may do what.
    registry.listRepositoryTagHistory(repository, {
      specificTagName: tagName,
      activeTagsOnly: true,
      size: 1,
    }),
    digest === null ? null : registry.lookupManifestByDigest(repository, digest),
  ]);
  const tag = items[0] ?? null;
  if (tag === null && (expiration !== undefined || immutable !== undefined)) {
    throw new ManagementError('not_found', `tag '${tagName}' not found`);
  }
  if (digest !== null && manifest === null) {
    throw new ManagementError('not_found', `manifest ${digest} not found`);
  }
  if (immutable === false && tag?.immutable === true) {
    await requireRepositoryRole(c, name, 'admin');
  }
  refuseClashes(tag, change, settings);
  await apply(c, { repository, tagName, tag, manifest }, change);
}

/** Refuses what one step would do so that a later one is refused. */
function refuseClashes(
  tag: Tag | null,
  { expiration, immutable, manifest_digest: digest }: TagChange,
  { immutableTags, immutableTagsCanExpire }: AppEnv['Variables']['scope']['settings'],
): void {
  if (immutable !== undefined && !immutableTags) {
    throw new ManagementError('invalid_request', 'immutable: tags are not locked here');
  }
  if (immutable === true && typeof expiration === 'number' && !immutableTagsCanExpire) {
    throw new ManagementError('invalid_request', 'expiration: a locked tag cannot have one');
  }
  const isLocked = immutableTags && (immutable ?? tag?.immutable ?? false);
  if (digest !== undefined && isLocked) {
    throw new ManagementError('tag_immutable', `Cannot overwrite immutable tag '${tag?.name}'`);
  }
}

async function apply(
  c: Context<AppEnv>,
  {
    repository,
    tagName,
    tag,
    manifest,
  }: {
    readonly repository: RepositoryRef;
    readonly tagName: TagName;
    readonly tag: Tag | null;
    readonly manifest: ManifestInfo | null;
  },
  { expiration, immutable }: TagChange,
): Promise<void> {
  const { registry } = c.var.scope;
  if (tag !== null && expiration !== undefined) {
    const endsAt = expiration === null ? null : new Date(expiration * MS_PER_SECOND);
    const { ok, ...ends } = await registry.changeRepositoryTagExpiration(tag, endsAt);
    requireUnchanged(ok, tagName);
    const metadata = {
      tag: tagName,
      // As it came to be: what was asked for may lie beyond what a tag can have.
      expiration_date: toSeconds(ends.endMs),
      old_expiration_date: toSeconds(ends.previousEndMs),
    };
    recordAudit(c, { kind: 'change_tag_expiration', repository, metadata });
  }
  // What is not locked is not unlocked: somebody may lock it now, whom only an admin may undo.
  if (tag !== null && immutable !== undefined && immutable !== tag.immutable) {
    const { ok } = await registry.changeTagImmutability(tag, immutable);
    requireUnchanged(ok, tagName);
    const metadata = { tag: tagName, immutable, previous_immutable: tag.immutable };
    recordAudit(c, { kind: 'change_tag_immutability', repository, metadata });
  }
  if (manifest !== null) {
    await registry.retargetTag(repository, tagName, manifest);
    const metadata = { tag: tagName, manifest_digest: manifest.digest };
    recordAudit(
      c,
      tag === null
        ? { kind: 'create_tag', repository, metadata }
        : {
            kind: 'move_tag',
            repository,
            metadata: { ...metadata, original_manifest_digest: tag.manifestDigest },
          },
    );
  }
}

function requireUnchanged(isUnchanged: boolean, tagName: TagName): void {
  if (!isUnchanged) {
    throw new ManagementError('invalid_request', `tag '${tagName}' was changed meanwhile`);
  }
}

function toSeconds(timeMs: number | null): number | null {
  return timeMs === null ? null : Math.floor(timeMs / MS_PER_SECOND);
}
