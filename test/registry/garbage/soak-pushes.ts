import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { parseStoredManifest } from '../../../src/image/parse.ts';
import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { RegistryError } from '../../../src/model/errors.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { MINUTE_MS } from '../../support/clock.ts';
import { anIndex, parsed, streamOf } from '../../support/content.ts';
import type { TestRegistry } from '../../support/registry.ts';
import { descriptorOf } from '../../support/stage.ts';
import { anUpload, chunkOf, closingAs, nameOf } from '../../support/uploads.ts';
import type { PoolBlob, SoakWorld } from './soak-world.ts';

const TAG_NAMES = ['t0', 't1', 't2', 't3'];

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

/** The refusal of this code as null. */
export async function unless<Result>(
  codes: readonly string[],
  act: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof RegistryError && codes.includes(error.code)) {
      return null;
    }
    throw error;
  }
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
  const given = random.isOneIn(12) ? layers : small;
  return { config, layers: random.some(given, 1 + random.below(3)) };
}

const descriptorIn = (mediaType: string, { digest, bytes }: PoolBlob) => ({
  mediaType,
  size: bytes.byteLength,
  digest,
});

/** An image of this content; one in ten has a body that lies in R2. */
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
    padding: ' '.repeat(random.isOneIn(10) ? 1_000_001 : 0),
  });
}

/** Uploads by one request, or by a chunk and its closing; from the start where R2 failed. */
async function upload(world: SoakWorld, to: RepositoryRef, { digest, bytes }: PoolBlob) {
  const name = nameOf(to);
  await world.persist(async () => {
    const actor = world.actor();
    const { operations } = actor;
    if (world.random.isOneIn(2)) {
      const length = bytes.byteLength;
      await operations.uploadWhole(name, { digest, body: streamOf(bytes), length });
      return;
    }
    const { uploadId } = await anUpload(actor, to);
    await operations.appendChunk(name, uploadId, chunkOf(bytes));
    await operations.finishUpload(name, uploadId, closingAs(digest));
  });
}

/** What a client does before it pushes a manifest: asks for each blob, and uploads what is not there. */
async function provide(world: SoakWorld, to: RepositoryRef, { config, layers }: Content) {
  const isCareful = world.random.isOneIn(2);
  for (const blob of [config, ...layers]) {
    const { operations } = world.actor();
    const found = isCareful
      ? (await operations.resolveBlobForPush(nameOf(to), blob.digest))?.blob
      : null;
    if (!found) {
      await upload(world, to, blob);
    }
  }
}

/** Others work between the blobs of a push and its manifest, for less than a lease lasts. */
async function othersWork(world: SoakWorld): Promise<void> {
  world.nowMs += world.random.below(25 * MINUTE_MS);
  if (world.random.isOneIn(2)) {
    await world.actor().housekeeping.collectGarbage();
  }
}

async function pushManifest(world: SoakWorld, to: RepositoryRef, manifest: ParsedManifest) {
  const tagName = aTagNameOf(world);
  await world.persist(() =>
    world.actor().registry.createManifestAndRetargetTag(to, manifest, tagName, {
      raiseOnError: true,
    }),
  );
  world.noteTag(to, tagName, manifest.digest);
}

export async function pushImage(world: SoakWorld): Promise<void> {
  const to = aRepositoryOf(world);
  const content = someContent(world);
  await provide(world, to, content);
  await othersWork(world);
  await pushManifest(world, to, await imageOf(world, content));
}

/** Mounts every blob that another repository has, as `docker push` does, and uploads the others. */
export async function pushMounted(world: SoakWorld): Promise<void> {
  const to = aRepositoryOf(world);
  const from = aRepositoryOf(world);
  const content = someContent(world);
  for (const blob of [content.config, ...content.layers]) {
    const { registry } = world.actor();
    const found = await registry.getRepoBlobByDigest(from, blob.digest);
    const isMounted = found !== null && (await registry.mountBlobIntoRepository(found, to, 3600));
    if (!isMounted) {
      await upload(world, to, blob);
    }
  }
  await othersWork(world);
  await pushManifest(world, to, await imageOf(world, content));
}

/** An image by digest: a temporary tag holds it until an index, or somebody's tag, does. */
export async function pushByDigest(world: SoakWorld): Promise<void> {
  const to = aRepositoryOf(world);
  const content = someContent(world);
  await provide(world, to, content);
  const image = await imageOf(world, content);
  await world.persist(() =>
    world.actor().registry.createManifestWithTempTag(to, image, 3600, { raiseOnError: true }),
  );
  world.nowMs += world.random.below(25 * MINUTE_MS);
  await world.actor().housekeeping.collectGarbage();
  if (world.random.isOneIn(2)) {
    await pushManifest(world, to, await anIndex([image], { of: String(world.random.below(3)) }));
  }
}

/** What a tag of the repository stands on, as somebody pulled it. */
async function pullTagged(
  world: SoakWorld,
  repository: RepositoryRef,
  { registry }: TestRegistry,
): Promise<ParsedManifest | null> {
  const held = [...world.tags.values()].filter((tag) => tag.repository === repository);
  const digest = world.random.oneOf(held)?.digest;
  const manifest =
    digest === undefined
      ? null
      : await world.persist(() =>
          registry.lookupManifestByDigest(repository, digest, { allowDead: true }),
        );
  return manifest && parseStoredManifest(manifest.bytes, manifest);
}

export async function pushIndex(world: SoakWorld): Promise<void> {
  const to = aRepositoryOf(world);
  const children = await Promise.all([
    pullTagged(world, to, world.actor()),
    pullTagged(world, to, world.actor()),
  ]);
  const given = children.filter((child) => child !== null && child.kind === 'image');
  if (given.length > 0) {
    await pushManifest(
      world,
      to,
      await anIndex(
        given.flatMap((child) => child ?? []),
        { of: String(world.random.below(3)) },
      ),
    );
  }
}

export async function pushReferrer(world: SoakWorld): Promise<void> {
  const to = aRepositoryOf(world);
  const subject = await pullTagged(world, to, world.actor());
  const content = someContent(world);
  await provide(world, to, content);
  const referrer = await imageOf(world, content, subject);
  await world.persist(() =>
    world.actor().registry.createManifestWithTempTag(to, referrer, 3600, { raiseOnError: true }),
  );
  if (subject !== null) {
    const pin = { repository: to, digest: referrer.digest };
    world.pins.set(`${to.id} ${referrer.digest}`, pin);
  }
}

/** An upload that nobody ends, or somebody much later. */
export async function uploadHalf(world: SoakWorld): Promise<void> {
  const { random, layers, uploads } = world;
  const old = random.isOneIn(2) ? random.oneOf(uploads) : null;
  if (old !== null) {
    uploads.splice(uploads.indexOf(old), 1);
    await world.persist(() =>
      world.actor().operations.cancelUpload(nameOf(old.repository), old.uploadId),
    );
    return;
  }
  const repository = aRepositoryOf(world);
  const layer = random.oneOf(layers);
  const actor = world.actor();
  const { uploadId } = await anUpload(actor, repository);
  uploads.push({ repository, uploadId });
  if (layer !== null) {
    // What R2 refuses here is left as it is: the client went away.
    await Promise.allSettled([
      actor.operations.appendChunk(nameOf(repository), uploadId, chunkOf(layer.bytes)),
    ]);
  }
}
