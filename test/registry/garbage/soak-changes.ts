import { RegistryError } from '../../../src/model/errors.ts';
import type { PolicyScope, RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../support/clock.ts';
import { keepFor, keepNewest } from '../../support/retention.ts';
import { select } from '../../support/stage.ts';
import { chunkOf, closingAs, nameOf } from '../../support/uploads.ts';
import type { SoakActor } from './soak-actor.ts';
import { isUploadKept } from './soak-promises.ts';
import { aRepositoryOf, aTagNameOf, given } from './soak-pushes.ts';

/** A manifest that the repository has, alive or not; of many referrers one of them. */
async function someManifest(actor: SoakActor, repository: RepositoryRef) {
  const { random, promises } = actor.world;
  const pins = [...promises.pins.values()].filter((pin) => pin.repositoryId === repository.id);
  const rows = await select(
    'SELECT digest FROM manifest WHERE repository_id = ? ORDER BY digest',
    repository.id,
  );
  const digests = (pins.length > 3 ? pins : rows).map((one) => String(one['digest']));
  const digest = random.oneOf(digests);
  const { registry } = actor.isolate();
  return actor.world.persist(() =>
    registry.lookupManifestByDigest(repository, String(digest), { allowDead: true }),
  );
}

export async function moveTag(actor: SoakActor): Promise<void> {
  const repository = aRepositoryOf(actor.world);
  const manifest = await someManifest(actor, repository);
  if (manifest !== null) {
    const tagName = aTagNameOf(actor.world);
    actor.plansTag(repository, tagName, manifest.digest);
    await actor.isolate().registry.retargetTag(repository, tagName, manifest);
  }
}

export async function deleteTag(actor: SoakActor): Promise<void> {
  const repository = aRepositoryOf(actor.world);
  const tagName = aTagNameOf(actor.world);
  actor.plansTag(repository, tagName, null);
  // Who deletes by a slow clock may find a tag that begins in his future; it ends all the same.
  await actor.isolate().registry.deleteTag(repository, tagName);
}

export async function deleteByDigest(actor: SoakActor): Promise<void> {
  const repository = aRepositoryOf(actor.world);
  const manifest = await someManifest(actor, repository);
  if (manifest !== null) {
    actor.plansToEndManifest(repository, manifest.digest);
    const { tags } = await actor.isolate().registry.deleteTagsForManifest(manifest);
    for (const { name } of tags) {
      actor.plansTag(repository, name, null);
    }
  }
}

export async function unlinkBlob(actor: SoakActor): Promise<void> {
  const repository = aRepositoryOf(actor.world);
  const blob = actor.world.random.oneOf([...actor.world.layers, ...actor.world.configs]);
  if (blob === null) {
    return;
  }
  actor.plansToUnlink(repository, blob.digest);
  try {
    await actor.isolate().operations.unlinkRepoBlob(repository, blob.digest);
  } catch (error) {
    if (!(error instanceof RegistryError && error.code === 'BlobInUse')) {
      throw error;
    }
  }
}

/** Comes back to an upload that somebody left: to give it up, or to end it from where it stands. */
export async function comeBack(actor: SoakActor): Promise<void> {
  const { random, promises, layers } = actor.world;
  const left = random.oneOf(promises.uploads);
  if (left === null) {
    return;
  }
  promises.uploads = promises.uploads.filter((upload) => upload !== left);
  const { repository, uploadId, digest } = left;
  const name = nameOf(repository);
  actor.say(uploadId.slice(0, 8));
  if (random.isOneIn(3)) {
    await actor.world.persist(() => actor.isolate().operations.cancelUpload(name, uploadId));
    return;
  }
  const bytes = layers.find((layer) => layer.digest === digest)?.bytes ?? new Uint8Array();
  const blob = await actor.world.persist(async () => {
    const { operations } = actor.isolate();
    const received = (await operations.uploadStatus(name, uploadId))?.byteCount ?? null;
    if (received === null) {
      return null;
    }
    if (received < bytes.byteLength) {
      await operations.appendChunk(name, uploadId, chunkOf(bytes.subarray(received), received));
    }
    return operations.finishUpload(name, uploadId, closingAs(digest as never));
  });
  if (isUploadKept(left, actor.world.nowMs)) {
    given(blob);
  }
  if (blob !== null) {
    actor.wasLeased(repository, digest);
  }
}

const JUMPS_MS = [SECOND_MS, MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, DAY_MS, 3 * DAY_MS, 15 * DAY_MS];

/** Time passes: some of it, or exactly until something is over, or its window, or its grace. */
export async function passTime(actor: SoakActor): Promise<void> {
  const { world } = actor;
  const [bounds] = await select(
    `SELECT (SELECT min(expires_ms) FROM uploaded_blob WHERE expires_ms > ?1) AS lease,
      (SELECT min(not_before_ms) FROM r2_tombstone WHERE not_before_ms > ?1) AS grace,
      (SELECT min(t.lifetime_end_ms + 1000 * n.removed_tag_expiration_s)
        FROM tag t JOIN repository r ON r.id = t.repository_id
        JOIN namespace n ON n.id = r.namespace_id
        WHERE t.lifetime_end_ms + 1000 * n.removed_tag_expiration_s > ?1) AS window`,
    world.nowMs,
  );
  const bound = world.random.oneOf([
    bounds?.['lease'],
    bounds?.['window'],
    bounds?.['grace'],
    null,
    null,
    null,
  ]);
  const jumpMs = world.random.oneOf(JUMPS_MS) ?? 0;
  world.nowMs = typeof bound === 'number' ? bound : world.nowMs + jumpMs;
  actor.say(new Date(world.nowMs).toISOString());
}

export async function changeWindow(actor: SoakActor): Promise<void> {
  const { namespaceId } = aRepositoryOf(actor.world);
  const windowSec = actor.world.random.oneOf([0, 3600, 86_400, 604_800]) ?? 0;
  actor.say(namespaceId, windowSec);
  await actor.world.setWindow(namespaceId, windowSec);
}

/** The owner of tags has some of them end by number or age, or does not any more. */
export async function changeRetention(actor: SoakActor): Promise<void> {
  const { random } = actor.world;
  const { id, namespaceId } = aRepositoryOf(actor.world);
  const { operations } = actor.isolate();
  const scope: PolicyScope = random.isOneIn(2)
    ? { kind: 'repository', id }
    : { kind: 'namespace', id: namespaceId };
  const policies = await operations.listRetentionPolicies(scope);
  for (const { uuid } of policies) {
    await operations.deleteRetentionPolicy(scope, uuid);
  }
  if (policies.length === 0) {
    const keep = random.isOneIn(2) ? keepNewest(1 + random.below(3)) : keepFor(86_400);
    await operations.createRetentionPolicy(scope, keep);
  }
}

export async function deleteRepository(actor: SoakActor): Promise<void> {
  const repository = aRepositoryOf(actor.world);
  actor.plansToGiveUp([repository]);
  await actor.isolate().operations.markRepositoryForDeletion(repository);
}

export async function deleteNamespace(actor: SoakActor): Promise<void> {
  const { namespaceId, namespaceName } = aRepositoryOf(actor.world);
  actor.plansToGiveUp(actor.world.repositories.filter((one) => one.namespaceId === namespaceId));
  await actor.isolate().operations.markNamespaceForDeletion(namespaceName);
}

/** What cron does, a little or much of it at a time. */
const aBudget = ({ world }: SoakActor, least: number) => ({
  statements: world.random.oneOf([least, least + 3, 25, 60, 300]) ?? 300,
});

export async function collect(actor: SoakActor): Promise<void> {
  await actor.isolate().housekeeping.collectGarbage(aBudget(actor, 9));
}

export async function drain(actor: SoakActor): Promise<void> {
  await actor.isolate().housekeeping.drainTombstones();
}

export async function expireUploads(actor: SoakActor): Promise<void> {
  await actor.isolate().housekeeping.expireUploads();
}

export async function purge(actor: SoakActor): Promise<void> {
  const { housekeeping } = actor.isolate();
  await housekeeping.purgeNamespaces(aBudget(actor, 10));
  await housekeeping.purgeRepositories(aBudget(actor, 10));
}

export async function retain(actor: SoakActor): Promise<void> {
  actor.mayEndTagsOf(actor.world.repositories.map(({ id }) => id));
  const { housekeeping } = actor.isolate();
  await housekeeping.applyRetention();
  await housekeeping.sweepEndedTags();
}

/** Nothing that happens here may look like a mistake of whoever collects, buries or pushes. */
export async function audit(actor: SoakActor): Promise<void> {
  const statements = actor.world.random.oneOf([2, 10, 50]) ?? 50;
  const limits = { statements, rowsPerPage: 7, keysPerPage: 5, sampledBlobs: 5 };
  const { found } = await actor.world.persist(() =>
    actor.isolate().housekeeping.auditStores(limits),
  );
  if (Object.values(found).some((count) => count !== 0)) {
    throw new Error(`the audit found ${JSON.stringify(found)}`);
  }
}

export async function forgetOldRecords(actor: SoakActor): Promise<void> {
  await actor.isolate().housekeeping.forgetOldRecords();
}
