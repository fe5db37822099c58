import {
  EXPIRES_AFTER_LABEL,
  IMMUTABLE_LABEL,
  type ManifestLabel,
  manifestLabels,
} from '../../image/labels.ts';
import { isIndexMediaType } from '../../image/media-types.ts';
import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { Tag } from '../../model/datatypes.ts';
import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import { RegistryError } from '../../model/errors.ts';
import {
  type ManifestInfo,
  REPOSITORY_STATES,
  type RepositoryRef,
} from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import {
  assertManifestPresentStatement,
  assertRepositoryLiveStatement,
} from '../../storage/d1/assertions.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { AssertionFailed } from '../../storage/d1/errors.ts';
import {
  type ActingLabels,
  manifestInfoByDigestStatement,
  NO_ACTING_LABELS,
} from '../../storage/d1/manifests.ts';
import { newestGenerationStatement } from '../../storage/d1/tags.ts';
import { ensureEmptyBlob } from '../blobs.ts';
import type { RegistryDeps } from '../deps.ts';
import { retryWrite } from '../retry-write.ts';
import { generationTraits } from '../tags/lifetime.ts';
import { addRetarget, addRetargetAssertions, type Retarget } from '../tags/retarget.ts';
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
    | { readonly kind: 'tag'; readonly tagName: string }
    | { readonly kind: 'temporary'; readonly endMs: EpochMs | null };
  readonly nowMs: EpochMs;
}

export interface Pushed {
  readonly manifest: ManifestInfo;
  /** The new generation; null for a push by digest. */
  readonly tag: Tag | null;
  readonly created: boolean;
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
    tagName: hold.kind === 'tag' ? hold.tagName : null,
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
  }).catch((error: unknown) => {
    throw refusalOf(error, push);
  });
}

/** If an attempt whose answer was lost did what it should, what it did. */
function findEarlierAttempt(
  { parsed, hold }: Push,
  { context, before }: { context: PushContext; before: PushContext },
): Pushed | null {
  const { newest, existing } = context;
  if (hold.kind === 'temporary' || existing === null || newest?.manifestDigest !== parsed.digest) {
    return null;
  }
  const isYounger = newest.id > (before.newest?.id ?? 0);
  return isYounger ? { manifest: existing, tag: newest, created: before.existing === null } : null;
}

interface Grounds {
  readonly context: PushContext;
  readonly deps: RegistryDeps;
}

async function attempt(push: Push, { context, deps }: Grounds): Promise<Pushed> {
  const { repository, parsed, hold, nowMs } = push;
  const { scope, existing } = context;
  if (scope === null || scope.repositoryState === REPOSITORY_STATES.markedForDeletion) {
    throw new RegistryError('RetargetFailed', { reason: 'repository-gone' });
  }
  const fresh = existing === null ? await prepare(push, { context, deps }) : null;
  const key = { repositoryId: repository.id, digest: parsed.digest };
  const batch = new Batch();
  if (fresh === null) {
    batch.add(assertManifestPresentStatement({ manifestId: existing?.id ?? 0 }));
  } else {
    addNewManifestAssertions(batch, fresh);
  }
  const move =
    hold.kind === 'tag' ? toRetarget(hold.tagName, { push, context, fresh, deps }) : null;
  if (move === null) {
    batch.add(assertRepositoryLiveStatement({ repositoryId: repository.id }));
  } else {
    addRetargetAssertions(batch, move, { grounds: { ...context, scope }, settings: deps.settings });
  }
  const inserted = fresh && addNewManifest(batch, fresh, deps.ids);
  if (move !== null) {
    addRetarget(batch, move, deps.settings);
  } else if (hold.kind === 'temporary') {
    addTempTag(batch, { ...key, uuid: deps.ids.uuid(), nowMs, endMs: hold.endMs }, 'stored');
  }
  const stored = batch.add(manifestInfoByDigestStatement(key));
  const tag = move && batch.add(newestGenerationStatement(move));
  const results = await batch.run(deps.database.primary);
  const manifest = results.firstOf(stored);
  if (manifest === null) {
    throw new Error(`the batch that stored manifest ${parsed.digest} does not show it`);
  }
  return {
    manifest,
    tag: tag && results.firstOf(tag),
    created: inserted !== null && results.firstOf(inserted) !== null,
  };
}

/** Validates a manifest that is not stored yet, and writes ahead what its row cannot hold. */
async function prepare(
  { repository, parsed, nowMs }: Push,
  { context, deps }: Grounds,
): Promise<NewManifest> {
  const known = await withEmptyBlob(parsed, { context, deps });
  const config = await validateNewManifest(parsed, known, deps);
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
      children: [...context.children.values()].map((child) =>
        isIndexMediaType(child.mediaType) ? NO_ACTING_LABELS : child,
      ),
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

/** An assertion that tells of a refusal, not of a lost race, as that refusal. */
function refusalOf(error: unknown, { repository, hold }: Push): unknown {
  if (!(error instanceof AssertionFailed)) {
    return error;
  }
  if (error.assertion === 'tag_immutable' && hold.kind === 'tag') {
    return new RegistryError('TagImmutable', {
      tagName: hold.tagName,
      operation: 'overwrite',
      repositoryId: repository.id,
    });
  }
  return error.assertion === 'repo_gone'
    ? new RegistryError('RetargetFailed', { reason: 'repository-gone' })
    : error;
}
