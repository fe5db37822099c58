import { encodeUtf8 } from '../model/bytes.ts';
import type { Blob } from '../model/datatypes.ts';
import type { Digest } from '../model/digest.ts';
import { MANIFEST_INLINE_BYTES_MAX } from '../model/limits.ts';
import type { RepositoryName } from '../model/names.ts';
import type { ManifestInfo, RepositoryRef } from '../model/references.ts';
import { repoBlobKey } from '../storage/kv/keys.ts';
import type { RegistryDeps } from './deps.ts';
import type { PullPath } from './resolve.ts';

/**
 * Answers to pulls by digest, kept for a minute in the location that gave them. A digest never
 * changes its meaning, so only a deletion can be missed: the one who deletes has the answer
 * forgotten here, elsewhere it ends by itself. Only what was found is kept. One answer is for all
 * who may have it: callers check who asks before they ask, and where from afterwards, by the mode
 * that the answer's repository has. A pusher's question is never answered from here.
 */
export interface AnswersByDigest {
  /** Forgets the manifest of a digest that was deleted, or whose tag was. */
  forgetManifest(name: RepositoryName, digest: Digest): Promise<void>;
  /** Forgets a blob that was unlinked, or whose object is lost. */
  forgetBlob(name: RepositoryName, digest: Digest): Promise<void>;
}

type ByDigest = Pick<PullPath, 'resolveManifest' | 'resolveBlob'>;

/** What is kept of a manifest: its body as text, which it always is. */
interface KeptManifest {
  readonly repository: RepositoryRef;
  readonly info: ManifestInfo;
  readonly text: string;
}

interface KeptBlob {
  readonly repository: RepositoryRef;
  readonly blob: Blob;
}

/** The two look-ups by digest of a pull path, asked only where no answer is kept. */
export function keepAnswersByDigest(
  pullPath: ByDigest,
  { answers, cache, defer }: Pick<RegistryDeps, 'answers' | 'cache' | 'defer'>,
): ByDigest & AnswersByDigest {
  return {
    async resolveManifest(name, digest, { withBytes }) {
      const key = answerKey('manifest', { name, digest });
      const kept = (await answers.get(key)) as KeptManifest | null;
      if (kept !== null) {
        const { repository, info, text } = kept;
        return { repository, manifest: { info, bytes: withBytes ? encodeUtf8(text) : null } };
      }
      const found = await pullPath.resolveManifest(name, digest, { withBytes });
      const bytes = found?.manifest?.bytes;
      if (found?.manifest && bytes && bytes.byteLength <= MANIFEST_INLINE_BYTES_MAX) {
        const text = new TextDecoder().decode(bytes);
        const { repository, manifest } = found;
        defer(answers.put(key, { repository, info: manifest.info, text } satisfies KeptManifest));
      }
      return found;
    },

    async resolveBlob(name, digest) {
      const key = answerKey('blob', { name, digest });
      const kept = (await answers.get(key)) as KeptBlob | null;
      if (kept !== null) {
        return kept;
      }
      const found = await pullPath.resolveBlob(name, digest);
      if (found?.blob) {
        const { repository, blob } = found;
        defer(answers.put(key, { repository, blob } satisfies KeptBlob));
      }
      return found;
    },

    forgetManifest: (name, digest) => answers.drop(answerKey('manifest', { name, digest })),
    async forgetBlob(name, digest) {
      await Promise.all([
        answers.drop(answerKey('blob', { name, digest })),
        cache.drop(repoBlobKey({ ...name, digest })),
      ]);
    },
  };
}

/** The version stands for the shape of what is kept: another shape is looked for elsewhere. */
function answerKey(
  kind: 'manifest' | 'blob',
  { name, digest }: { name: RepositoryName; digest: Digest },
): string {
  return `v4/${kind}/${name.namespace}/${encodeURIComponent(name.repository)}/${digest}`;
}
