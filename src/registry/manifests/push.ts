import {
  EXPIRES_AFTER_LABEL,
  IMMUTABLE_LABEL,
  type ManifestLabel,
  manifestLabels,
} from '../../image/labels.ts';
import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { Tag } from '../../model/datatypes.ts';
import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import type { RepositoryName } from '../../model/names.ts';
import type { Quota } from '../../model/quota.ts';
import type { ManifestInfo, RepositoryRef } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import { assertManifestPresentStatement } from '../../storage/d1/assertions.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { type ActingLabels, manifestInfoByDigestStatement } from '../../storage/d1/manifests.ts';
import { newestGenerationsStatement } from '../../storage/d1/tags.ts';
import { ensureEmptyBlob } from '../blobs.ts';
import type { RegistryDeps } from '../deps.ts';
import {
  addPushMessage,
  addQuotaWarning,
  deliverTold,
  type Told,
} from '../notifications/outbox.ts';
import { quotaToWarnOf, requireRoom } from '../quota.ts';
import { retryWrite } from '../retry-write.ts';
import { generationTraits } from '../tags/lifetime.ts';
import { findGenerationsMade, liveScope } from '../tags/retarget-context.ts';
import {
  addRetarget,
  addRetargetAssertions,
  type Retarget,
  runRetarget,
} from '../tags/retarget.ts';
import { addTempTag } from '../tags/temporary.ts';
import { storeLargeBody } from './body.ts';
import { type PushContext, readPushContext } from './push-context.ts';
import { addNewManifest, addNewManifestAssertions, type NewManifest } from './store.ts';
import { validateNewManifest } from './validate.ts';

/** A push: the manifest, and what shall hold it. */
export interface Push {
  readonly repository: RepositoryRef;
  readonly parsed: ParsedManifest;
  readonly hold:
    | { readonly kind: 'tags'; readonly tagNames: readonly string[] }
    | { readonly kind: 'temporary'; readonly endMs: EpochMs | null };
  readonly nowMs: EpochMs;
}

export interface Pushed {
  readonly manifest: ManifestInfo;
  /** The new generations, in the order of the names; none for a push by digest alone. */
  readonly tags: readonly Tag[];
  readonly created: boolean;
  /** The namespace's quota with this push, if it is above its warning. */
  readonly quotaToWarnOf: Quota | null;
}

/**
 * Stores a manifest and what holds it, all or nothing. Reads in one round trip, then writes in one
 * whose assertions see to it that what was read still holds; begins again where it does not.
 */
export async function pushManifest(push: Push, deps: RegistryDeps): Promise<Pushed> {
  const { repository, hold, parsed } = push;
  const subject = {
    repositoryId: repository.id,
    parsed,
    tagNames: hold.kind === 'tags' ? hold.tagNames : [],
  };
  let before: PushContext | null = null;
  return retryWrite(async ({ answerLost }) => {
    const context = await readPushContext(deps.database, subject);
    before ??= context;
    const earlier = answerLost ? findEarlierAttempt(push, { context, before }) : null;
    if (earlier !== null) {
      return earlier;
    }
    return attempt(push, { context, deps });
  });
}

/** If an attempt whose answer was lost did what it should, what it did. */
function findEarlierAttempt(
  { parsed: { digest }, hold }: Push,
  { context, before }: { context: PushContext; before: PushContext },
): Pushed | null {
  if (hold.kind === 'temporary' || context.existing === null) {
    return null;
  }
  const { tagNames } = hold;
  const tags = findGenerationsMade({ tagNames, digest, reversion: false }, { context, before });
  return (
    tags && {
      manifest: context.existing,
      tags,
      created: before.existing === null,
      quotaToWarnOf: quotaToWarnOf(context.quota),
    }
  );
}

interface Grounds {
  readonly context: PushContext;
  readonly deps: RegistryDeps;
}

async function attempt(push: Push, { context, deps }: Grounds): Promise<Pushed> {
  const { repository, parsed, hold, nowMs } = push;
  const scope = liveScope(context);
  const { existing } = context;
  const fresh = existing === null ? await prepare(push, { context, deps }) : null;
  const key = { repositoryId: repository.id, digest: parsed.digest };
  const batch = new Batch();
  if (fresh === null) {
    batch.add(assertManifestPresentStatement({ manifestId: existing?.id ?? 0 }));
  } else {
    addNewManifestAssertions(batch, fresh);
  }
  const tagNames = hold.kind === 'tags' ? hold.tagNames : [];
  const moves = tagNames.map((tagName) => toRetarget(tagName, { push, context, fresh, deps }));
  const grounds = { ...context, ...key, scope };
  addRetargetAssertions(batch, moves, { grounds, settings: deps.settings });
  const inserted = fresh && addNewManifest(batch, fresh, deps.ids);
  for (const move of moves) {
    addRetarget(batch, move, deps.settings);
  }
  const told = addMessages(batch, push, { fresh, tagNames, deps });
  if (hold.kind === 'temporary') {
    addTempTag(batch, { ...key, uuid: deps.ids.uuid(), nowMs, endMs: hold.endMs }, 'stored');
  }
  const stored = batch.add(manifestInfoByDigestStatement(key));
  const { repositoryId } = key;
  const generations = batch.add(
    newestGenerationsStatement({ repositoryId, tagNames: JSON.stringify(tagNames) }),
  );
  const results = await runRetarget(batch, moves, { newest: context.newest, deps });
  deliverTold(told, { results, repositoryId }, deps);
  const manifest = results.firstOf(stored);
  const tags = results.rowsOf(generations);
  if (manifest === null || tags.length !== tagNames.length) {
    throw new Error(`the batch that stored manifest ${parsed.digest} does not show it`);
  }
  return {
    manifest,
    tags,
    created: inserted !== null && results.firstOf(inserted) !== null,
    quotaToWarnOf: quotaToWarnOf(withPushed(context)),
  };
}

/** Adds what is told of the push, behind what it writes. */
function addMessages(
  batch: Batch,
  { repository, parsed: { digest }, nowMs }: Push,
  {
    fresh,
    tagNames,
    deps: { ids },
  }: { fresh: NewManifest | null; tagNames: readonly string[]; deps: RegistryDeps },
): readonly Told[] {
  const place = { repositoryId: repository.id, ...nameOf(repository), nowMs };
  const told: Told[] = [];
  if (tagNames.length > 0) {
    told.push(addPushMessage(batch, place, { tagNames, digest, messageId: ids.uuid() }));
  }
  const { warningPercent = null, addedBytes = 0 } = fresh?.context.quota ?? {};
  if (warningPercent !== null && addedBytes > 0) {
    told.push(addQuotaWarning(batch, place, { addedBytes, messageId: ids.uuid() }));
  }
  return told;
}

function nameOf({ namespaceName: namespace, name: repository }: RepositoryRef): RepositoryName {
  return { namespace, repository };
}

/** The quota as the push leaves it; a manifest that was there before adds nothing. */
function withPushed({ quota }: PushContext): Quota | null {
  return quota && { ...quota, usedBytes: quota.usedBytes + quota.addedBytes };
}

/** Validates a manifest that is not stored yet, and writes ahead what its row cannot hold. */
async function prepare(
  { repository, parsed, nowMs }: Push,
  { context, deps }: Grounds,
): Promise<NewManifest> {
  const known = await withEmptyBlob(parsed, { context, deps });
  const config = await validateNewManifest(parsed, known, deps);
  if (known.quota !== null) {
    const { quota } = known;
    requireRoom(nameOf(repository), { quota, addedBytes: quota.addedBytes }, deps);
  }
  return {
    repositoryId: repository.id,
    parsed,
    context: known,
    labels: manifestLabels(parsed, config),
    nowMs,
    bytesKey: await storeLargeBody(parsed.bytes, deps),
  };
}

/** The shared empty layer is made by the first manifest that names it. */
async function withEmptyBlob(
  parsed: ParsedManifest,
  { context, deps }: Grounds,
): Promise<PushContext> {
  const isNamed = parsed.kind === 'image' && parsed.localBlobDigests.includes(EMPTY_BLOB_DIGEST);
  if (!isNamed || context.blobs.has(EMPTY_BLOB_DIGEST)) {
    return context;
  }
  const blob = await ensureEmptyBlob(deps);
  return { ...context, blobs: new Map([...context.blobs, [EMPTY_BLOB_DIGEST, blob]]) };
}

function toRetarget(
  tagName: string,
  { push, context, fresh, deps }: Grounds & { push: Push; fresh: NewManifest | null },
): Retarget {
  const { repository, parsed, nowMs } = push;
  const traits = generationTraits(
    {
      tagName,
      nowMs,
      own: fresh === null ? context.ownLabels : actingLabelsOf(fresh.labels),
      children: [...context.children.values()],
      policies: context.policies,
    },
    deps.settings,
  );
  return {
    repositoryId: repository.id,
    tagName,
    digest: parsed.digest,
    nowMs,
    reversion: false,
    ...traits,
  };
}

function actingLabelsOf(labels: readonly ManifestLabel[]): ActingLabels {
  const valueOf = (key: string) => labels.find((label) => label.key === key)?.value ?? null;
  return { expiresAfter: valueOf(EXPIRES_AFTER_LABEL), immutable: valueOf(IMMUTABLE_LABEL) };
}
