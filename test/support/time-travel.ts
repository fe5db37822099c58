import { parseTagName, type TagName } from '../../src/model/names.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { epochMs } from '../../src/model/time.ts';
import type { TestRegistry } from './registry.ts';

export function tagNamed(text: string): TagName {
  const name = parseTagName(text);
  if (name === null) {
    throw new Error(`not the name of a tag: ${text}`);
  }
  return name;
}

/** Asks what a name of the repository pointed to at a moment; a literal name goes first. */
export function pastOf(
  { operations }: Pick<TestRegistry, 'operations'>,
  { namespaceName: namespace, name: repository }: RepositoryRef,
) {
  return (name: string, atMs: number, literalName: string | null = null) =>
    operations.resolvePastTag(
      { namespace, repository },
      {
        tagName: tagNamed(name),
        atMs: epochMs(atMs),
        literalName: literalName === null ? null : tagNamed(literalName),
      },
      { withBytes: true },
    );
}

/** The same, and of the answer only the digest. */
export function digestAt(registry: Pick<TestRegistry, 'operations'>, repository: RepositoryRef) {
  const at = pastOf(registry, repository);
  return async (name: string, atMs: number): Promise<string | null> =>
    (await at(name, atMs))?.found?.tag.manifestDigest ?? null;
}
