import { env } from 'cloudflare:workers';

/** A KV namespace whose every call fails. */
export function failingKv(message = 'KV GET failed: 500'): KVNamespace {
  return new Proxy(env.CACHE, { get: () => () => Promise.reject(new Error(message)) });
}

/** Puts another value under every key of the cache, and gives the keys. */
export async function overwriteCache(value: string): Promise<readonly string[]> {
  const { keys } = await env.CACHE.list();
  for (const { name } of keys) {
    await env.CACHE.put(name, value);
  }
  return keys.map(({ name }) => name);
}

/** Forgets all that the cache keeps. */
export async function forgetCache(): Promise<void> {
  const { keys } = await env.CACHE.list();
  await Promise.all(keys.map(({ name }) => env.CACHE.delete(name)));
}
