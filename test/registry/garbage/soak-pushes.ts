import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { parseStoredManifest } from '../../../src/image/parse.ts';
import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { PUSH_LEASE_SEC } from '../../../src/model/limits.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { MINUTE_MS } from '../../support/clock.ts';
import { anIndex, parsed, streamOf } from '../../support/content.ts';
import { descriptorOf } from '../../support/stage.ts';
import { anUpload, chunkOf, closingAs, nameOf } from '../../support/uploads.ts';
import { Refused, type SoakActor } from './soak-actor.ts';
import type { PoolBlob, SoakWorld } from './soak-world.ts';

const TAG_NAMES = ['t0', 't1', 't2', 't3'];
/** Two others may work meanwhile as long, and who only asked for a blob is sure of half an hour. */
const PUSH_MS_MAX = 8 * MINUTE_MS;

export function aRepositoryOf({ repositories, random }: SoakWorld): RepositoryRef {
  const repository = random.oneOf(repositories);
  if (repository === null) {
    throw new Error('the world has repositories');
  }
  return repository;
}

export function aTagNameOf({ random }: SoakWorld): string {
  return random.oneOf(TAG_NAMES) ?? 't0';
}

/** What the registry gave; that it gave nothing is a refusal. */
export function given<Value>(value: Value | null): Value {
  if (value === null) {
    throw new Refused('the registry gave nothing');
  }
  return value;
}

interface Content {
  readonly config: PoolBlob;
  readonly layers: readonly PoolBlob[];
}

function someContent({ random, layers, configs }: SoakWorld): Content {
  const config = random.oneOf(configs);
  if (config === null) {
    throw new Error('the world has configs');
  }
  // The first is large.
  const [, ...small] = layers;
  const from = random.isOneIn(50) ? layers.slice(0, 2) : small;
  return { config, layers: random.some(from, 1 + random.below(2)) };
}

const descriptorIn = (mediaType: string, { digest, bytes }: PoolBlob) => ({
  mediaType,
  size: bytes.byteLength,
  digest,
});

/** An image of this content; some have a body that lies in R2. */
function imageOf(
  { random }: SoakWorld,
  { config, layers }: Content,
  subject: ParsedManifest | null = null,
): Promise<ParsedManifest> {
  return parsed(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    config: descriptorIn('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) =>
      descriptorIn('application/vnd.oci.image.layer.v1.tar+gzip', layer),
    ),
    ...(subject && { subject: descriptorOf(subject) }),
    variant: random.below(6),
    padding: ' '.repeat(random.isOneIn(20) ? 1_000_001 : 0),
  });
}

/** Uploads by one request, or by a chunk and its closing; from the start where R2 failed. */
async function upload(actor: SoakActor, to: RepositoryRef, { digest, bytes }: PoolBlob) {
  const { random } = actor.world;
  const name = nameOf(to);
  await actor.world.persist(async () => {
    const isolate = actor.isolate();
    const { operations } = isolate;
    if (!random.isOneIn(4)) {
      const length = bytes.byteLength;
      given(await operations.uploadWhole(name, { digest, body: streamOf(bytes), length }));
      return;
    }
    const { uploadId } = given(await operations.startUpload(name));
    given(await operations.appendChunk(name, uploadId, chunkOf(bytes)));
    given(await operations.finishUpload(name, uploadId, closingAs(digest)));
  });
  actor.wasLeased(to, digest);
}

/** What a client does before it pushes a manifest: asks for each blob, and uploads what is not there. */
async function provide(actor: SoakActor, to: RepositoryRef, { config, layers }: Content) {
  const isCareful = !actor.world.random.isOneIn(3);
  for (const blob of [config, ...layers]) {
    const { operations } = actor.isolate();
    const found = isCareful
      ? (await operations.resolveBlobForPush(nameOf(to), blob.digest))?.blob
      : null;
    if (found) {
      actor.wasLeased(to, blob.digest, { onlyAsked: true });
    } else {
      await upload(actor, to, blob);
    }
  }
}

/** Others work between the blobs of a push and its manifest, for less than a lease lasts. */
async function othersWork(actor: SoakActor): Promise<void> {
  const { world } = actor;
  world.nowMs += world.random.below(PUSH_MS_MAX);
  if (world.random.isOneIn(2)) {
    await actor.isolate().housekeeping.collectGarbage();
  }
}

async function pushManifest(actor: SoakActor, to: RepositoryRef, manifest: ParsedManifest) {
  const tagName = aTagNameOf(actor.world);
  actor.plansTag(to, tagName, manifest.digest);
  await actor.world.persist(() =>
    actor.isolate().registry.createManifestAndRetargetTag(to, manifest, tagName, {
      raiseOnError: true,
    }),
  );
}

export async function pushImage(actor: SoakActor): Promise<void> {
  const to = aRepositoryOf(actor.world);
  const content = someContent(actor.world);
  await provide(actor, to, content);
  await othersWork(actor);
  await pushManifest(actor, to, await imageOf(actor.world, content));
}

/** Mounts every blob that another repository has, as `docker push` does, and uploads the others. */
export async function pushMounted(actor: SoakActor): Promise<void> {
  const to = aRepositoryOf(actor.world);
  const from = aRepositoryOf(actor.world);
  const content = someContent(actor.world);
  for (const blob of [content.config, ...content.layers]) {
    const { registry } = actor.isolate();
    const found = await registry.getRepoBlobByDigest(from, blob.digest);
    if (found && (await registry.mountBlobIntoRepository(found, to, PUSH_LEASE_SEC))) {
      actor.wasLeased(to, blob.digest);
    } else {
      await upload(actor, to, blob);
    }
  }
  await othersWork(actor);
  await pushManifest(actor, to, await imageOf(actor.world, content));
}

/** An image by digest: a temporary tag holds it until an index, or somebody's tag, does. */
export async function pushByDigest(actor: SoakActor): Promise<void> {
  const { world } = actor;
  const to = aRepositoryOf(world);
  const content = someContent(world);
  await provide(actor, to, content);
  const image = await imageOf(world, content);
  actor.say(`${to.id}:${image.digest.slice(7, 15)}`);
  await world.persist(() =>
    actor.isolate().registry.createManifestWithTempTag(to, image, PUSH_LEASE_SEC, {
      raiseOnError: true,
    }),
  );
  actor.wasHeld(to, image.digest);
  await othersWork(actor);
  if (world.random.isOneIn(2)) {
    await pushManifest(actor, to, await anIndex([image], { of: String(world.random.below(3)) }));
  }
}

/** What a tag of the repository stands on, as somebody pulled it. */
async function pullTagged(actor: SoakActor, of: RepositoryRef): Promise<ParsedManifest | null> {
  const { world } = actor;
  const held = [...world.promises.tags.values()].filter((tag) => tag.repositoryId === of.id);
  const digest = world.random.oneOf(held)?.digest;
  const { registry } = actor.isolate();
  const manifest =
    digest === undefined
      ? null
      : await world.persist(() => registry.lookupManifestByDigest(of, digest, { allowDead: true }));
  return manifest && parseStoredManifest(manifest.bytes, manifest);
}

export async function pushIndex(actor: SoakActor): Promise<void> {
  const to = aRepositoryOf(actor.world);
  const children = [await pullTagged(actor, to), await pullTagged(actor, to)];
  const images = children.filter((child) => child !== null && child.kind === 'image');
  if (images.length > 0) {
    const index = await anIndex(
      images.flatMap((child) => child ?? []),
      { of: String(actor.world.random.below(3)) },
    );
    await pushManifest(actor, to, index);
  }
}

export async function pushReferrer(actor: SoakActor): Promise<void> {
  const to = aRepositoryOf(actor.world);
  const subject = await pullTagged(actor, to);
  const content = someContent(actor.world);
  await provide(actor, to, content);
  const referrer = await imageOf(actor.world, content, subject);
  actor.say(`${to.id}:${referrer.digest.slice(7, 15)}`);
  await actor.world.persist(() =>
    actor.isolate().registry.createManifestWithTempTag(to, referrer, PUSH_LEASE_SEC, {
      raiseOnError: true,
    }),
  );
  if (subject === null) {
    actor.wasHeld(to, referrer.digest);
  } else {
    actor.wasPinned(to, referrer.digest);
  }
}

/** Begins an upload and leaves it with a part of its bytes. */
export async function leaveUpload(actor: SoakActor): Promise<void> {
  const { random, layers } = actor.world;
  const to = aRepositoryOf(actor.world);
  const [large, ...small] = layers;
  const blob = random.isOneIn(25) ? large : random.oneOf(small);
  if (blob === undefined || blob === null) {
    throw new Error('the world has layers');
  }
  const isolate = actor.isolate();
  const { uploadId } = await anUpload(isolate, to).catch(() => {
    throw new Refused('the upload was not started');
  });
  const begun = { repository: to, uploadId, digest: blob.digest, begunMs: actor.startMs };
  const cut = random.below(blob.bytes.byteLength + 1);
  // What R2 refuses here is left as it is: the client went away.
  const [outcome] = await Promise.allSettled([
    isolate.operations.appendChunk(nameOf(to), uploadId, chunkOf(blob.bytes.subarray(0, cut))),
  ]);
  if (outcome.status === 'fulfilled') {
    given(outcome.value);
  }
  actor.leaves(begun);
}
