import type { Performer } from '../../src/model/audit-log.ts';
import type { Digest } from '../../src/model/digest.ts';
import { isRegistryError } from '../../src/model/errors.ts';
import type { TagName } from '../../src/model/names.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import type { Release, ReleaseMove } from '../../src/registry/tags/releases.ts';
import { execute, openStage, select, type Stage } from './stage.ts';

/** Who releases in tests. */
export const RELEASER: Performer = { kind: 'robot', name: 'acme+deploy' };

/** A move as it is asked for, by plain texts. */
export function moveOf(
  repository: RepositoryRef,
  tagName: string,
  digest: string,
  ifDigest?: string | null,
): ReleaseMove {
  const condition = ifDigest === undefined ? {} : { ifDigest: ifDigest as Digest | null };
  return { repository, tagName: tagName as TagName, digest: digest as Digest, ...condition };
}

/** What each name points to now, null where there is no tag. */
export async function digestsAt(
  { registry }: Pick<Stage, 'registry'>,
  repository: RepositoryRef,
  ...names: readonly string[]
): Promise<readonly (string | null)[]> {
  const tags = await Promise.all(names.map((name) => registry.getRepoTag(repository, name)));
  return tags.map((tag) => tag?.manifestDigest ?? null);
}

/**
 * A stage; `arrange` empties it, puts `a` and `b` on the manifest `old` and `next` on another, and
 * gives the moves of `a` and `b` there.
 */
export async function aReleaseStage(...options: Parameters<typeof openStage>) {
  const stage = await openStage(...options);
  const { repository } = stage;
  return {
    ...stage,
    async arrange(labels: Readonly<Record<string, string>> = {}) {
      await stage.clear();
      await execute('DELETE FROM tag_release');
      const image = await stage.image();
      const { manifest: old } = await stage.push('a', image);
      await stage.push('b', image);
      const { manifest: next } = await stage.push('next', await stage.image({ labels }));
      const moves = ['a', 'b'].map((name) => moveOf(repository, name, next.digest));
      return { old, next, moves, before: await stage.generation() };
    },
    /** What `a` and `b` point to now. */
    digests: () => digestsAt(stage, repository, 'a', 'b'),
    /** All that a release may write. */
    async rows() {
      return [
        await select('SELECT * FROM tag ORDER BY id'),
        await select('SELECT * FROM tag_release ORDER BY id'),
        await select('SELECT * FROM repository_gc'),
        await select('SELECT id, tags_generation FROM repository'),
      ];
    },
  };
}

/** For which move a release was refused, and why; throws what else it failed with. */
export async function refusalOf(
  releasing: Promise<Release>,
): Promise<{ readonly index: number; readonly reason: string } | null> {
  try {
    await releasing;
    return null;
  } catch (error) {
    if (isRegistryError(error) && error.code === 'ReleaseRefused') {
      const { index, reason } = error.detail;
      return { index, reason };
    }
    throw error;
  }
}

/** The same release as it is stored. */
export async function stored(
  { operations }: Pick<Stage, 'operations'>,
  { namespaceName, uuid }: Release,
): Promise<Release | null> {
  return operations.getRelease(namespaceName, uuid);
}
