import type { Manifest, Tag } from '../../src/model/datatypes.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { DAY_MS } from '../support/clock.ts';
import { pushTagged } from '../support/content.ts';
import { lookUp, type Scene } from '../support/costs.ts';
import type { TestRegistry } from '../support/registry.ts';

const deleteTag: Scene = async ({ registry, repository, name }) => {
  const tagName = `doomed-${crypto.randomUUID()}`;
  await pushTagged(registry, repository, { tagName });
  return async (counted) => {
    const found = await lookUp(counted, name);
    await counted.registry.deleteTag(found, tagName);
  };
};

/** A write to one tag, or to its manifest, by references that the caller has. */
const changeTag =
  (
    write: (
      counted: TestRegistry,
      changed: { readonly repository: RepositoryRef; readonly tag: Tag; readonly other: Manifest },
    ) => Promise<unknown>,
  ): Scene =>
  async ({ registry, repository }) => {
    const { manifest: other } = await pushTagged(registry, repository, { tagName: 'other' });
    const tagName = `changed-${crypto.randomUUID()}`;
    const { tag } = await pushTagged(registry, repository, { tagName });
    return (counted) => write(counted, { repository, tag, other });
  };

const moveTag = changeTag(({ registry }, { repository, tag, other }) =>
  registry.retargetTag(repository, tag.name, other),
);
const expireTag = changeTag(({ registry, clock }, { tag }) =>
  registry.changeRepositoryTagExpiration(tag, new Date(clock.nowMs() + DAY_MS)),
);
const expireTags = changeTag(({ registry }, { tag }) =>
  registry.setTagsExpirationForManifest(tag.manifest, 3600),
);
const lockTag = changeTag(({ registry }, { tag }) => registry.changeTagImmutability(tag, true));
const lockTags = changeTag(({ operations }, { tag }) =>
  operations.setTagsImmutabilityForManifest(tag.manifest, true),
);
const removeTag = changeTag(({ registry }, { repository, tag }) =>
  registry.removeTagFromTimemachine(repository, tag.name, tag.manifest, { isAlive: true }),
);

/** The methods that change tags, and what each may read and write. */
export const TAG_CHANGES = [
  ['deleteTag, by name', deleteTag, { roundTrips: 2, rowsRead: 16, rowsWritten: 8 }],
  ['retargetTag', moveTag, { roundTrips: 2, rowsRead: 48, rowsWritten: 14 }],
  ['changeRepositoryTagExpiration', expireTag, { roundTrips: 2, rowsRead: 14, rowsWritten: 6 }],
  ['setTagsExpirationForManifest', expireTags, { roundTrips: 1, rowsRead: 14, rowsWritten: 6 }],
  ['changeTagImmutability', lockTag, { roundTrips: 2, rowsRead: 6, rowsWritten: 1 }],
  ['setTagsImmutabilityForManifest', lockTags, { roundTrips: 1, rowsRead: 10, rowsWritten: 2 }],
  ['removeTagFromTimemachine', removeTag, { roundTrips: 1, rowsRead: 10, rowsWritten: 6 }],
] as const;
