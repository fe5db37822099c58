import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { STALE_UPLOAD_MS, UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import { parseRepositoryName, type RepositoryName } from '../../../src/model/names.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS, HOUR_MS } from '../../support/clock.ts';
import {
  anImage,
  anIndex,
  parsed,
  pushBlob,
  pushTagged,
  uniqueBytes,
} from '../../support/content.ts';
import { aRepository, openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import type { Placed } from '../../support/shelf.ts';
import { descriptorOf } from '../../support/stage.ts';
import { anUpload, chunkOf, closingAs, concat, nameOf } from '../../support/uploads.ts';

const NO_WINDOW = { settings: { removedTagExpirationSec: 0 } };
const LARGE = { annotations: { padding: ' '.repeat(1_000_001) } };

const named = (text: string) => parseRepositoryName(text) as RepositoryName;

/** What one repository has of everything that can hold something, dead and alive. */
async function fill(world: TestRegistry, repository: RepositoryRef) {
  const { registry } = world;
  const byDigest = async (manifest: ParsedManifest) => {
    await registry.createManifestWithTempTag(repository, manifest, 60, { raiseOnError: true });
    return manifest;
  };
  const tag = async (tagName: string, manifest: ParsedManifest) =>
    (await pushTagged(world, repository, { tagName, manifest })).parsed;
  const image = (options = {}) => anImage(world, repository, options);

  // Two indexes share a child; one of them goes, and its own child with it.
  const shared = await byDigest(await image());
  await tag('dead-list', await anIndex([shared, await byDigest(await image())]));
  const list = await tag('list', await anIndex([shared, await byDigest(await image())]));
  // Subjects without a tag: one whose referrer lives, and one whose referrer was deleted.
  const subject = await byDigest(await image());
  const referrer = await byDigest(await image({ subject: descriptorOf(subject) }));
  const deadSubject = await byDigest(await image());
  const deadReferrer = await byDigest(await image({ subject: descriptorOf(deadSubject) }));
  const large = await tag('large', await image(LARGE));
  await tag('dead-large', await image(LARGE));
  const plain = await tag('plain', await image({ layers: 2 }));
  const dead = await tag('dead', await image({ layers: 2 }));

  const found = await registry.lookupManifestByDigest(repository, deadReferrer.digest, {
    allowDead: true,
    allowHidden: true,
  });
  await registry.deleteTagsForManifest(found as NonNullable<typeof found>);
  for (const tagName of ['dead-list', 'dead-large', 'dead']) {
    await registry.deleteTag(repository, tagName);
  }
  return { living: [list, referrer, subject, large, plain], dead };
}

/** Mounts what an image of another repository needs, and pushes it under a tag. */
async function mount(
  world: TestRegistry,
  { from, to, image }: { from: RepositoryRef; to: RepositoryRef; image: ParsedManifest },
) {
  for (const digest of image.kind === 'image' ? image.localBlobDigests : []) {
    const blob = await world.registry.getRepoBlobByDigest(from, digest);
    if (blob === null || !(await world.registry.mountBlobIntoRepository(blob, to, 60))) {
      throw new Error('the blob was not mounted');
    }
  }
  await pushTagged(world, to, { tagName: 'mounted', manifest: image });
}

/**
 * Two repositories of a namespace and one of another, with images, indexes, referrers, bodies in R2,
 * alive and dead, and blobs that they mounted from each other; uploads that were left, one of them
 * with a part in R2; and a push that is under way. No window protects what is dead.
 */
export async function aWholeWorld() {
  const world = openTestRegistry(NO_WINDOW);
  const { clock } = world;
  const repository = await aRepository(world, named('acme/app'));
  const neighbour = await aRepository(world, named('acme/other'));
  const foreign = await aRepository(world, named('beta/app'));
  const { living, dead } = await fill(world, repository);
  const { parsed: foreignDead } = await pushTagged(world, foreign, { tagName: 'dead' });
  const { parsed: foreignImage } = await pushTagged(world, foreign, { tagName: 'plain' });
  await world.registry.deleteTag(foreign, 'dead');
  await mount(world, { from: repository, to: neighbour, image: dead });
  await mount(world, { from: repository, to: foreign, image: dead });
  await mount(world, { from: foreign, to: repository, image: foreignDead });
  await pushBlob(world, repository);
  const left = await anUpload(world, repository);
  const bytes = uniqueBytes(UPLOAD_PART_BYTES + 10);
  await world.operations.appendChunk(nameOf(repository), left.uploadId, chunkOf(bytes));
  const leftSmall = await anUpload(world, foreign);
  await world.operations.appendChunk(nameOf(foreign), leftSmall.uploadId, chunkOf(uniqueBytes()));
  clock.advance(STALE_UPLOAD_MS + HOUR_MS);

  return {
    clock,
    repository,
    neighbour,
    foreign,
    push: await aPushUnderWay(world, foreign),
    /** What must be whole at any time, by the repository that has it. */
    living: [
      ...placed(repository, [...living, foreignDead]),
      ...placed(neighbour, [dead]),
      ...placed(foreign, [foreignImage, dead]),
    ],
  };
}

const placed = (at: RepositoryRef, manifests: readonly ParsedManifest[]): readonly Placed[] =>
  manifests.map(({ digest }) => ({ repositoryId: at.id, digest }));

/** An image whose config is leased, and whose layer is half uploaded. */
async function aPushUnderWay(world: TestRegistry, to: RepositoryRef) {
  const [first, second] = [uniqueBytes(100), uniqueBytes(100)];
  const digest = await computeDigest('sha256', concat(first, second));
  const content = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } };
  const config = await pushBlob(world, to, encodeUtf8(JSON.stringify(content)));
  const image = await parsed(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      size: config.compressedSize,
      digest: config.digest,
    },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', size: 200, digest }],
  });
  const { uploadId } = await anUpload(world, to);
  await world.operations.appendChunk(nameOf(to), uploadId, chunkOf(first));
  return {
    /** Goes on with it, and gives what is alive then. */
    async finish(at: Pick<TestRegistry, 'operations' | 'registry'>): Promise<Placed> {
      await at.operations.appendChunk(nameOf(to), uploadId, chunkOf(second, 100));
      const blob = await at.operations.finishUpload(nameOf(to), uploadId, closingAs(digest));
      if (blob === null) {
        throw new Error('the upload is gone');
      }
      await at.registry.createManifestAndRetargetTag(to, image, 'under-way', {
        raiseOnError: true,
      });
      return { repositoryId: to.id, digest: image.digest };
    },
  };
}

export type WholeWorld = Awaited<ReturnType<typeof aWholeWorld>>;

/** Runs cron's jobs until nothing is left to do. */
export async function finishAllJobs({ clock }: Pick<WholeWorld, 'clock'>): Promise<void> {
  const { housekeeping } = openTestRegistry({ ...NO_WINDOW, clock });
  let isIdle = false;
  for (let rounds = 0; !isIdle; rounds += 1) {
    if (rounds === 20) {
      throw new Error('the jobs do not end');
    }
    clock.advance(DAY_MS / 3);
    const collected = await housekeeping.collectGarbage();
    const namespaces = await housekeeping.purgeNamespaces();
    const repositories = await housekeeping.purgeRepositories();
    const expired = await housekeeping.expireUploads();
    const { taken } = await housekeeping.drainTombstones();
    isIdle =
      expired + taken + namespaces.marked + namespaces.namespaces + repositories.repositories ===
        0 && collected.repositories === 0;
  }
}
