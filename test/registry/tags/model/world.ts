import { env } from 'cloudflare:workers';

import type { ParsedManifest } from '../../../../src/image/parsed-manifest.ts';
import type { Tag } from '../../../../src/model/datatypes.ts';
import type { ManifestInfo } from '../../../../src/model/references.ts';
import type { StoredPolicy } from '../../../../src/storage/d1/policies.ts';
import { START_MS } from '../../../support/clock.ts';
import { anIndex } from '../../../support/content.ts';
import { openTestRegistry, type TestRegistry } from '../../../support/registry.ts';
import { select, type Stage } from '../../../support/stage.ts';
import { imageAt, type ModelImage } from './generation.ts';
import { KeptPages } from './kept-pages.ts';
import type { ModelPolicy } from './policies.ts';
import type { Run } from './runs.ts';
import { type ModelSettings, TagState } from './state.ts';
import { IMAGES, type NameKey } from './steps.ts';

/** The registry, and beside it the state that its tags should have. */
export interface World {
  readonly stage: Stage;
  readonly state: TagState;
  readonly keptPages: KeptPages;
  readonly images: readonly StagedImage[];
  /** The registry with the settings that hold now. */
  readonly registry: TestRegistry;
  /** The id of the last row before this run; ids are given one after the other. */
  readonly idsBefore: number;
  /** The manifests that were looked up in this run; none is ever changed or collected. */
  readonly manifests: Map<number, ManifestInfo>;
  /** What a name's alive tag was when it was looked at. */
  readonly seen: Map<NameKey, Tag>;
  readonly policies: Map<ModelPolicy, StoredPolicy>;
}

export interface StagedImage extends ModelImage {
  readonly parsed: ParsedManifest;
  /** What the repository had of it before it was forgotten. */
  readonly gone: ManifestInfo;
}

/** A repository to which every image was pushed once. */
export async function stageImages(stage: Stage): Promise<readonly StagedImage[]> {
  const images: StagedImage[] = [];
  for (const { expiresAfter, immutable, subject, children = [] } of IMAGES) {
    const labels = {
      ...(expiresAfter === undefined ? {} : { 'quay.expires-after': expiresAfter }),
      ...(immutable === undefined ? {} : { 'quay.immutable': immutable }),
    };
    const of = (at: number): ParsedManifest => imageAt(images, at).parsed;
    const parsed =
      children.length > 0
        ? await anIndex(children.map(of))
        : await stage.image({ labels, ...(subject === undefined ? {} : { subject: of(subject) }) });
    const { manifest } = await stage.push(`warm-${images.length}`, parsed);
    images.push({
      parsed,
      gone: manifest,
      digest: parsed.digest,
      expiresAfter: expiresAfter ?? null,
      immutable: immutable ?? null,
      hasSubject: subject !== undefined,
      children,
    });
  }
  return images;
}

/** The world at the start of a run: an empty repository. */
export async function beginRun(
  { settings, windowMs }: Run,
  { stage, images }: Pick<World, 'stage' | 'images'>,
): Promise<World> {
  const [last] = await select("SELECT seq FROM sqlite_sequence WHERE name = 'tag'");
  await stage.clear();
  await env.DB.batch([
    env.DB.prepare('DELETE FROM repository_immutability_policy'),
    env.DB.prepare('DELETE FROM namespace_immutability_policy'),
    env.DB.prepare('UPDATE namespace SET removed_tag_expiration_s = ?').bind(windowMs / 1000),
  ]);
  const { clock } = stage;
  clock.set(START_MS);
  return {
    stage,
    images,
    state: new TagState(images, clock, { settings, windowMs }),
    keptPages: new KeptPages(),
    registry: openWith(settings, stage),
    idsBefore: Number(last?.['seq']),
    manifests: new Map(),
    seen: new Map(),
    policies: new Map(),
  };
}

/** The same world under other settings. */
export function configure(world: World, settings: ModelSettings): World {
  world.state.settings = settings;
  world.keptPages.moveToAnotherIsolate();
  return { ...world, registry: openWith(settings, world.stage) };
}

function openWith(settings: ModelSettings, { clock }: Stage): TestRegistry {
  return openTestRegistry({ clock, settings: { ...settings } });
}

export function nameOf(key: NameKey, { images }: Pick<World, 'images'>): string {
  const stem = (image: number) => imageAt(images, image).digest.replace(':', '-');
  switch (key) {
    case 'signature':
      return `${stem(0)}.sig`;
    case 'attestation':
      return `${stem(4)}.att`;
    case 'stray':
      return `${stem(0)}.txt`;
    case 'a':
    case 'b':
    case 'C':
      return key;
  }
}

/** The manifest that the repository has of an image, or once had. */
export async function manifestOf(image: number, world: World): Promise<ManifestInfo> {
  const { registry, stage, manifests } = world;
  const { digest, gone } = imageAt(world.images, image);
  const known = manifests.get(image);
  const found =
    known ??
    (world.state.isStored(image)
      ? await registry.registry.lookupManifestByDigest(stage.repository, digest, {
          allowDead: true,
        })
      : null);
  if (found === null) {
    return gone;
  }
  manifests.set(image, found);
  return found;
}

/** One of the items, if there are any. */
export function nthOf<Item>(items: readonly Item[], nth: number): Item | null {
  return items[nth % items.length] ?? null;
}
