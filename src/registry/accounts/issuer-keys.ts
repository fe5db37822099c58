import { z } from 'zod';

import { RegistryError } from '../../model/errors.ts';
import {
  ISSUER_ANSWER_BYTES_MAX,
  ISSUER_KEYS_MAX,
  ISSUER_KEYS_TTL_SEC,
  ISSUER_PAUSE_MS,
  ISSUER_TIMEOUT_MS,
} from '../../model/limits.ts';
import { issuerKeysKey } from '../../storage/kv/keys.ts';
import type { RegistryDeps } from '../deps.ts';
import { type CachedKind, renew, retrieve } from '../model-cache.ts';

/** A public key of an issuer (RFC 7517); of its members, those that verifying takes. */
const issuerKey = z.object({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  use: z.literal('sig').optional(),
  kid: z.string().optional(),
  alg: z.string().optional(),
  crv: z.string().optional(),
  x: z.string().optional(),
  y: z.string().optional(),
  n: z.string().optional(),
  e: z.string().optional(),
});

/** The keys of an issuer, and when it gave them. */
const issuerKeySet = z.object({ fetchedMs: z.number(), keys: z.array(issuerKey) });
export type IssuerKeySet = z.infer<typeof issuerKeySet>;

/** OpenID Connect Discovery 1.0, 3: as much of it as is asked for. */
const discoveryDocument = z.object({ issuer: z.string(), jwks_uri: z.string() });
const publishedKeys = z.object({ keys: z.array(z.unknown()).max(ISSUER_KEYS_MAX) });

/** Gives the keys that the tokens of OpenID issuers are verified by. */
export interface IssuerKeys {
  /**
   * The keys of an issuer, 600 s old at most; null if the administrator does not allow it. Errors:
   * IssuerUnavailable, if none are kept and it does not give them.
   */
  issuerKeys(issuer: string): Promise<IssuerKeySet | null>;
  /**
   * The same for who did not find the key they look for among those `known`: newer ones, or `known`
   * itself if it is hardly older than the question. An isolate asks an issuer so once in 10 s.
   * Errors: IssuerUnavailable, if it fails, or is being asked.
   */
  newerIssuerKeys(issuer: string, known: IssuerKeySet): Promise<IssuerKeySet>;
}

export function createIssuerKeys(deps: RegistryDeps): IssuerKeys {
  const { clock, settings, issuerKeyMemory, issuerPauses } = deps;
  const load = async (issuer: string): Promise<IssuerKeySet> => {
    try {
      return await fetchKeys(issuer, deps);
    } catch (error) {
      issuerPauses.set(issuer, true, clock.nowMs() + ISSUER_PAUSE_MS);
      throw error;
    }
  };
  const requireNoPause = (issuer: string): void => {
    if (issuerPauses.get(issuer, clock.nowMs()) !== null) {
      throw unavailable(issuer, 'it failed, or was asked, a few seconds ago');
    }
  };
  return {
    async issuerKeys(issuer) {
      if (!settings.oidcIssuers.includes(issuer)) {
        return null;
      }
      const loadUnlessPaused = () => {
        requireNoPause(issuer);
        return load(issuer);
      };
      return retrieve(kindOf(issuer), loadUnlessPaused, deps, { memory: issuerKeyMemory });
    },

    async newerIssuerKeys(issuer, known) {
      const nowMs = clock.nowMs();
      const remembered = issuerKeyMemory.get(kindOf(issuer).key, nowMs);
      if (remembered !== null && remembered.fetchedMs > known.fetchedMs) {
        return remembered;
      }
      if (nowMs - known.fetchedMs < ISSUER_PAUSE_MS) {
        return known;
      }
      requireNoPause(issuer);
      issuerPauses.set(issuer, true, nowMs + ISSUER_PAUSE_MS);
      return renew(kindOf(issuer), () => load(issuer), deps, { memory: issuerKeyMemory });
    },
  };
}

function kindOf(issuer: string): CachedKind<IssuerKeySet> {
  return { key: issuerKeysKey(issuer), ttlSec: ISSUER_KEYS_TTL_SEC, shape: issuerKeySet };
}

/** What an issuer did that it should not; told to operators. */
class IssuerFailure extends Error {}

/** Errors: IssuerUnavailable. */
async function fetchKeys(issuer: string, deps: RegistryDeps): Promise<IssuerKeySet> {
  const signal = AbortSignal.timeout(ISSUER_TIMEOUT_MS);
  const timeUp = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(new IssuerFailure(`it did not answer within ${ISSUER_TIMEOUT_MS} ms`));
    });
  });
  try {
    return await Promise.race([discoverKeys(issuer, { signal, deps }), timeUp]);
  } catch (error) {
    throw unavailable(issuer, error instanceof Error ? error.message : String(error));
  }
}

interface Asking {
  readonly signal: AbortSignal;
  readonly deps: RegistryDeps;
}

async function discoverKeys(issuer: string, asking: Asking): Promise<IssuerKeySet> {
  const { clock, settings } = asking.deps;
  // Before the first is asked for: what changes meanwhile may be in them or not.
  const fetchedMs = clock.nowMs();
  const path = '/.well-known/openid-configuration';
  const document = await fetchJson(`${issuer.replace(/\/$/, '')}${path}`, asking);
  const { data: discovered } = discoveryDocument.safeParse(document);
  if (discovered?.issuer !== issuer) {
    throw new IssuerFailure('its configuration is none, or that of another issuer');
  }
  const url = requireKeyUrl(discovered.jwks_uri, settings.oidcIssuers);
  const published = publishedKeys.safeParse(await fetchJson(url, asking));
  if (!published.success) {
    throw new IssuerFailure('its keys are no set of keys');
  }
  // One that is of no use here, as for encryption, takes the others no use.
  const keys = published.data.keys.flatMap((key) => issuerKey.safeParse(key).data ?? []);
  return { fetchedMs, keys };
}

/** Where the keys are: at an allowed issuer's own host, or nowhere that is asked. */
function requireKeyUrl(text: string, issuers: readonly string[]): string {
  const url = URL.parse(text);
  const hosts = issuers.map((issuer) => new URL(issuer).host);
  const isGood =
    url?.protocol === 'https:' &&
    hosts.includes(url.host) &&
    url.username === '' &&
    url.password === '';
  if (!isGood) {
    throw new IssuerFailure('its keys are not at the host of any issuer in OIDC_ISSUERS');
  }
  return url.href;
}

/** No redirect is followed: where it leads was allowed by nobody. */
async function fetchJson(url: string, { signal, deps }: Asking): Promise<unknown> {
  const headers = { Accept: 'application/json' };
  const response = await deps.fetch(url, { signal, headers, redirect: 'manual' });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new IssuerFailure(`it answered ${url} with ${response.status}`);
  }
  const text = await readText(response);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new IssuerFailure(`its answer to ${url} is not JSON`);
  }
}

async function readText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > ISSUER_ANSWER_BYTES_MAX) {
      // Leaving the loop cancels the body.
      throw new IssuerFailure(`it answered with more than ${ISSUER_ANSWER_BYTES_MAX} bytes`);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function unavailable(issuer: string, reason: string): RegistryError {
  return new RegistryError('IssuerUnavailable', { issuer, reason });
}
