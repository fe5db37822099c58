import { env } from 'cloudflare:workers';

/** Made by the first write to a name, and allowed to stay when that write is refused. */
const REPOSITORY_TABLES = ['namespace', 'repository', 'repository_gc'];

/** Written behind the answers, so nobody knows when; tests of its own say what is in it. */
const DEFERRED_TABLES = ['audit_log'];

/**
 * What the stores hold: the number of rows by table and the keys of the bucket. Two of them being
 * equal shows that what happened between left nothing.
 */
export async function footprint(): Promise<Readonly<Record<string, number | readonly string[]>>> {
  const tables = await env.DB.prepare(
    `SELECT name FROM sqlite_schema WHERE type = 'table'
      AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND name <> 'd1_migrations'`,
  ).all<{ name: string }>();
  const names = tables.results
    .map(({ name }) => name)
    .filter((name) => ![...REPOSITORY_TABLES, ...DEFERRED_TABLES].includes(name));
  const counts = await env.DB.batch<{ n: number }>(
    names.map((name) => env.DB.prepare(`SELECT count(*) AS n FROM ${name}`)),
  );
  const { objects } = await env.BUCKET.list();
  return {
    ...Object.fromEntries(names.map((name, index) => [name, counts[index]?.results[0]?.n ?? 0])),
    objects: objects.map(({ key }) => key),
  };
}
