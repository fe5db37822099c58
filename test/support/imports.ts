import type { Import } from '../../src/model/imports.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import type { SourceCredentials } from '../../src/registry/imports/credentials.ts';
import type { ImportLimits } from '../../src/registry/imports/runs.ts';
import { aRepository, openTestRegistry, type TestRegistryOptions } from './registry.ts';
import { FakeSource } from './source.ts';

/** Where the images of a {@link FakeSource} are. */
export const SOURCE = 'registry.example.com/acme/app';

interface Asked {
  readonly tags?: readonly string[];
  readonly credentials?: SourceCredentials;
}

/** A repository, another registry that images are imported from, and what imports them. */
export async function openImportStage(options: TestRegistryOptions = {}) {
  const source = new FakeSource();
  const world = openTestRegistry({ fetch: source.fetch, ...options });
  const repository = await aRepository(world);
  const { operations, housekeeping, registry, settleDeferred } = world;

  const read = async (uuid: string): Promise<Import> => {
    const found = await operations.getImport(repository, uuid);
    if (found === null) {
      throw new Error(`there is no import ${uuid}`);
    }
    return found;
  };
  const begin = async (reference = `${SOURCE}:v1`, asked: Asked = {}): Promise<Import> => {
    const { tags = null, credentials = null } = asked;
    const begun = await operations.startImport(repository, {
      source: reference,
      tags,
      credentials,
    });
    if (begun === null) {
      throw new Error('the import was not begun');
    }
    return begun;
  };
  return {
    ...world,
    source,
    repository,
    begin,
    read,
    /** Begins an import and lets it go on behind the answer until it rests. */
    run: async (reference?: string, asked?: Asked): Promise<Import> => {
      const { uuid } = await begin(reference, asked);
      await settleDeferred();
      return read(uuid);
    },
    /** Cron's next run, so much later, and what it came to. */
    later: async ({ uuid }: Import, ms: number, limits: Partial<ImportLimits> = {}) => {
      world.clock.advance(ms);
      await housekeeping.continueImports(limits);
      return read(uuid);
    },
    /** The digest that a tag stands on. */
    tagged: async (tagName: string, target: RepositoryRef = repository) =>
      (await registry.getRepoTag(target, tagName))?.manifestDigest ?? null,
  };
}
