import { encodeUtf8 } from '../model/bytes.ts';
import type { Manifest, Page } from '../model/datatypes.ts';
import type { Digest } from '../model/digest.ts';
import { REFERRER_PAGE_SIZE_MAX, REFERRERS_BODY_BYTES_MAX } from '../model/limits.ts';
import type { RepositoryName } from '../model/names.ts';
import {
  manifestBodiesStatement,
  type ReferrerRow,
  referrersStatement,
} from '../storage/d1/referrers.ts';
import { withBytes } from '../storage/d1/rows.ts';
import type { RegistryDeps } from './deps.ts';
import { loadManifest } from './manifests/body.ts';

/** Lists what refers to a manifest: signatures, attestations, bills of materials. */
export interface Referrers {
  /**
   * The manifests of a repository whose subject is the digest and which a tag, hidden or not,
   * holds, in the order of their arrival. Nothing for an unknown repository or digest. A page ends
   * at 100 manifests or 4 MiB of their bodies; `cursor` is where the next one begins.
   */
  listReferrers(
    name: RepositoryName,
    subject: Digest,
    options?: { readonly artifactType?: string | null; readonly cursor?: string | null },
  ): Promise<Page<Manifest>>;
}

export function createReferrers(deps: RegistryDeps): Referrers {
  const { database, clock } = deps;
  return {
    async listReferrers(name, subject, { artifactType = null, cursor = null } = {}) {
      const limit = REFERRER_PAGE_SIZE_MAX;
      // What was just pushed must be listed, and an empty list is an answer: the primary has it.
      const rows = await database.primary.all(
        referrersStatement({
          ...name,
          subjectDigest: subject,
          artifactType,
          afterId: parseCursor(cursor),
          limit: limit + 1,
          nowMs: clock.nowMs(),
          bodyBytesMax: REFERRERS_BODY_BYTES_MAX / limit,
        }),
      );
      const page = cutPage(rows.slice(0, limit));
      const items = await loadBodies(page, deps);
      const last = page.at(-1);
      return last !== undefined && page.length < rows.length
        ? { items, hasMore: true, cursor: String(last.info.id) }
        : { items, hasMore: false };
    },
  };
}

/** A cursor is the id that the page starts after; what is none starts at the beginning. */
function parseCursor(cursor: string | null): number {
  return cursor !== null && /^\d{1,15}$/.test(cursor) ? Number(cursor) : 0;
}

/** The rows until their bodies reach the limit; the first one always. */
function cutPage(rows: readonly ReferrerRow[]): readonly ReferrerRow[] {
  let bytes = 0;
  const end = rows.findIndex(({ info }) => {
    bytes += info.sizeBytes;
    return bytes > REFERRERS_BODY_BYTES_MAX;
  });
  return end < 0 ? rows : rows.slice(0, Math.max(end, 1));
}

/** The manifests with their bytes; those collected since the page was read are left out. */
async function loadBodies(
  page: readonly ReferrerRow[],
  deps: RegistryDeps,
): Promise<readonly Manifest[]> {
  const absent = page.filter(({ text }) => text === null).map(({ info }) => info.id);
  const stored =
    absent.length === 0
      ? []
      : await deps.database.primary.all(
          manifestBodiesStatement({ manifestIds: JSON.stringify(absent) }),
        );
  const loaded = new Map(
    await Promise.all(
      stored.map(async (manifest) => {
        return [manifest.info.id, await loadManifest(manifest, deps)] as const;
      }),
    ),
  );
  return page
    .map(({ info, text }) =>
      text === null ? (loaded.get(info.id) ?? null) : withBytes(info, encodeUtf8(text)),
    )
    .filter((manifest) => manifest !== null);
}
