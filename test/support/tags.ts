import { execute, select, type SqlRow } from './stage.ts';

/** Every row of the table of tags, oldest first. */
export const tagRows = (): Promise<readonly SqlRow[]> => select('SELECT * FROM tag ORDER BY id');

export interface TagSeed {
  readonly name: string;
  /** The manifest it stands on; by default the first of the repository. */
  readonly digest?: string;
  readonly startMs?: number;
  readonly endMs?: number | null;
  readonly isCurrent?: boolean;
  readonly hidden?: boolean;
  readonly immutable?: boolean;
}

/** Puts rows beside all the code under test: a tag that costs no push. */
export async function seedTags(
  { id }: { readonly id: number },
  seeds: readonly TagSeed[],
): Promise<void> {
  const rows = seeds.map(({ name, digest = null, startMs = 0, endMs = null, ...flags }) => [
    name,
    digest,
    startMs,
    endMs,
    Number(flags.isCurrent ?? true),
    Number(flags.hidden ?? false),
    Number(flags.immutable ?? false),
  ]);
  await execute(
    `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current, hidden, immutable)
    SELECT ?1, value ->> 0, (SELECT min(id) FROM manifest
        WHERE repository_id = ?1 AND digest = coalesce(value ->> 1, digest)), value ->> 2,
      value ->> 3, value ->> 4, value ->> 5, value ->> 6 FROM json_each(?2)`,
    id,
    JSON.stringify(rows),
  );
}
