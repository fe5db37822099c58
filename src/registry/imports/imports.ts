import { RegistryError } from '../../model/errors.ts';
import {
  IMPORT_FIRST_RUN_MS_MAX,
  IMPORTS_LISTED_MAX,
  IMPORTS_OPEN_PER_REPOSITORY_MAX,
} from '../../model/import-limits.ts';
import { parseImportReference } from '../../model/import-source.ts';
import type { Import, ImportTag } from '../../model/imports.ts';
import { TAGS_PER_PUSH_MAX } from '../../model/limits.ts';
import { parseTagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import {
  cancelImportStatement,
  importStatement,
  importsStatement,
  insertImportStatement,
  insertImportTagsStatement,
  uploadsOfImportStatement,
} from '../../storage/d1/imports.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { cancelUpload } from '../uploads/cancel.ts';
import { sealCredentials, type SourceCredentials } from './credentials.ts';
import { continueImport } from './runs.ts';

/** What is to be imported. */
export interface ImportRequest {
  /** `<host>/<name>`, with `:<tag>` or `@<digest>` or neither. */
  readonly source: string;
  readonly credentials: SourceCredentials | null;
  /**
   * The tags that what the source names gets here; by default its own. Where it names a repository,
   * the tags that are copied from it.
   */
  readonly tags: readonly string[] | null;
}

/** Copies images from other registries. */
export interface Imports {
  /** Errors: InvalidImport, if there is nothing that could be begun by it. */
  planImport(request: Omit<ImportRequest, 'credentials'>): readonly ImportTag[];
  /**
   * Begins an import, and goes on with it behind the answer; null: the repository is gone. Errors:
   * InvalidImport, LimitReached (20 of a repository that have not ended).
   */
  startImport(repository: RepositoryRef, request: ImportRequest): Promise<Import | null>;
  /** An import of the repository; null: it has none of this name, or it was forgotten. */
  getImport(repository: RepositoryRef, importUuid: string): Promise<Import | null>;
  /** The newest hundred imports of the repository. */
  listImports(repository: RepositoryRef): Promise<readonly Import[]>;
  /**
   * Ends an import: it sets no tag from now on, but those that it has set stay, and what it brought
   * is left to garbage collection. False: there is none, or it has ended.
   */
  cancelImport(repository: RepositoryRef, importUuid: string): Promise<boolean>;
}

export function createImports(deps: RegistryDeps): Imports {
  const { database, clock, ids } = deps;
  const { primary } = database;
  const find = (repository: RepositoryRef, importUuid: string) =>
    primary.first(importStatement({ repositoryId: repository.id, importUuid }));
  const planImport = (request: Omit<ImportRequest, 'credentials'>) => planTags(request, deps);
  return {
    planImport,

    async startImport(repository, { credentials, ...request }) {
      const tags = JSON.stringify(
        planImport(request).map(({ tagName, reference }) => [tagName, reference]),
      );
      const importUuid = ids.uuid();
      const repositoryId = repository.id;
      const sealed =
        credentials && (await sealCredentials(credentials, importUuid, deps.legacyImageKey()));
      const made = await sendAgain(async () => {
        const batch = new Batch();
        batch.add(
          insertImportStatement({
            importUuid,
            repositoryId,
            source: request.source,
            credentials: sealed,
            nowMs: clock.nowMs(),
            openMax: IMPORTS_OPEN_PER_REPOSITORY_MAX,
          }),
        );
        batch.add(insertImportTagsStatement({ importUuid, tags }));
        const found = batch.add(importStatement({ repositoryId, importUuid }));
        return (await batch.run(primary)).firstOf(found);
      });
      if (made === null) {
        return explainRefusal(repository, deps);
      }
      deps.defer(continueImport(importUuid, { durationMs: IMPORT_FIRST_RUN_MS_MAX }, deps));
      return made;
    },

    getImport: find,

    listImports: ({ id: repositoryId }) =>
      primary.all(importsStatement({ repositoryId, limit: IMPORTS_LISTED_MAX })),

    async cancelImport({ id: repositoryId }, importUuid) {
      const nowMs = clock.nowMs();
      const wasOpen = await sendAgain(async (isAgain) => {
        const cancel = cancelImportStatement({ repositoryId, importUuid, nowMs });
        return (await primary.first(cancel)) !== null || isAgain;
      });
      if (!wasOpen) {
        return false;
      }
      const uploads = await primary.all(uploadsOfImportStatement({ importUuid }));
      for (const { uploadId } of uploads) {
        await cancelUpload({ uploadId, onlyClaim: null }, deps);
      }
      return true;
    },
  };
}

/** Why an import was not made. Errors: LimitReached. */
async function explainRefusal(
  { id: repositoryId }: RepositoryRef,
  { database }: RegistryDeps,
): Promise<null> {
  const newest = await database.primary.all(
    importsStatement({ repositoryId, limit: IMPORTS_LISTED_MAX }),
  );
  if (newest.some(({ endedMs }) => endedMs === null)) {
    const max = IMPORTS_OPEN_PER_REPOSITORY_MAX;
    throw new RegistryError('LimitReached', { what: 'imports under way', max });
  }
  return null;
}

/** The tags that an import is to set. Errors: InvalidImport. */
function planTags(
  { source, tags }: Omit<ImportRequest, 'credentials'>,
  { settings }: RegistryDeps,
): readonly ImportTag[] {
  const parsed = parseImportReference(source, { allowPrivate: settings.importPrivateAddresses });
  if ('problem' in parsed) {
    throw new RegistryError('InvalidImport', { field: 'source', reason: parsed.problem });
  }
  const { reference, tagName: own } = parsed.reference;
  const wanted = [...new Set(tags ?? (own === null ? [] : [own]))];
  const illegal = wanted.find((tagName) => parseTagName(tagName) === null);
  const reason =
    illegal !== undefined
      ? `'${illegal}' is no name of a tag`
      : wanted.length === 0
        ? 'expected the names of tags, since the source names none'
        : wanted.length > TAGS_PER_PUSH_MAX
          ? `an import sets ${TAGS_PER_PUSH_MAX} tags at most`
          : null;
  if (reason !== null) {
    throw new RegistryError('InvalidImport', { field: 'tags', reason });
  }
  return wanted.map((tagName) => ({ tagName, reference: reference ?? tagName }));
}
