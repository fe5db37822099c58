import { MANIFEST_MEDIA_TYPES, OCI_CONFIG_MEDIA_TYPE } from '../../src/image/media-types.ts';
import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { type Bytes, encodeUtf8 } from '../../src/model/bytes.ts';
import { computeDigest } from '../../src/model/digest.ts';
import type { OutboundFetch } from '../../src/registry/deps.ts';
import { parsed, uniqueBytes } from './content.ts';

/** A request that a source got. */
export interface SourceRequest {
  readonly url: URL;
  readonly authorization: string | null;
  readonly range: string | null;
  readonly redirect: string;
}

/** What a source answers instead; null: what it would. */
type Answering = (request: SourceRequest) => Response | null | Promise<Response | null>;

const HOST = 'registry.example.com';

/**
 * Another registry, which stands for all servers there are. It gives manifests by tag and digest,
 * and blobs by ranges.
 */
export class FakeSource {
  readonly manifests = new Map<string, { readonly bytes: Bytes; readonly mediaType: string }>();
  readonly blobs = new Map<string, Bytes>();
  /** What it was asked, oldest first. */
  readonly asked: SourceRequest[] = [];
  /** Who may ask; null: everybody. */
  login: { readonly username: string; readonly password: string } | null = null;
  /** Whether it gives ranges, or always the whole. */
  hasRanges = true;
  instead: Answering = () => null;

  readonly fetch: OutboundFetch = async (href, { headers, redirect }) => {
    const request = {
      url: new URL(href),
      authorization: headers['Authorization'] ?? null,
      range: headers['Range'] ?? null,
      redirect,
    };
    this.asked.push(request);
    return (await this.instead(request)) ?? this.answer(request);
  };

  /** What it answers by itself. */
  answer({ url, authorization, range }: SourceRequest): Response {
    if (url.host === `auth.${HOST}`) {
      return this.#token(authorization);
    }
    if (url.host !== HOST) {
      throw new TypeError(`nobody answers ${url.href}`);
    }
    if (this.login !== null && authorization !== 'Bearer let-me-in') {
      const challenge = `Bearer realm="https://auth.${HOST}/token",service="${HOST}"`;
      return new Response(null, { status: 401, headers: { 'WWW-Authenticate': challenge } });
    }
    const [, kind = '', reference = ''] =
      /^\/v2\/acme\/app\/(manifests|blobs)\/(.+)$/.exec(url.pathname) ?? [];
    const manifest = kind === 'manifests' ? this.manifests.get(reference) : undefined;
    if (manifest !== undefined) {
      return new Response(manifest.bytes, { headers: { 'Content-Type': manifest.mediaType } });
    }
    const blob = kind === 'blobs' ? this.blobs.get(reference) : undefined;
    return blob === undefined
      ? new Response(null, { status: 404 })
      : this.hasRanges
        ? partOf(blob, range)
        : new Response(blob);
  }

  #token(authorization: string | null): Response {
    const { username, password } = this.login ?? { username: '', password: '' };
    return authorization === `Basic ${btoa(`${username}:${password}`)}`
      ? Response.json({ token: 'let-me-in' })
      : new Response(null, { status: 401 });
  }

  async addBlob(bytes: Bytes): Promise<{ readonly digest: string; readonly size: number }> {
    const digest = await computeDigest('sha256', bytes);
    this.blobs.set(digest, bytes);
    return { digest, size: bytes.byteLength };
  }

  addManifest(manifest: ParsedManifest, ...tagNames: readonly string[]): void {
    for (const reference of [manifest.digest, ...tagNames]) {
      this.manifests.set(reference, manifest);
    }
  }

  /** An image with these layers, by tags and digest. */
  async addImage(layers: readonly Bytes[], ...tagNames: readonly string[]) {
    const config = await this.addBlob(
      encodeUtf8(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          rootfs: { type: 'layers', diff_ids: [] },
          id: crypto.randomUUID(),
        }),
      ),
    );
    const manifest = await parsed(MANIFEST_MEDIA_TYPES.ociManifest, {
      schemaVersion: 2,
      config: { mediaType: OCI_CONFIG_MEDIA_TYPE, ...config },
      layers: await Promise.all(
        layers.map(async (bytes) => ({
          mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
          ...(await this.addBlob(bytes)),
        })),
      ),
    });
    this.addManifest(manifest, ...tagNames);
    return manifest;
  }

  /** An index of these manifests. */
  async addIndex(children: readonly ParsedManifest[], ...tagNames: readonly string[]) {
    const index = await parsed(MANIFEST_MEDIA_TYPES.ociIndex, {
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPES.ociIndex,
      manifests: children.map(({ mediaType, digest, bytes }) => ({
        mediaType,
        digest,
        size: bytes.byteLength,
      })),
    });
    this.addManifest(index, ...tagNames);
    return index;
  }

  /** An index of two images that share a layer. */
  async addTwoArchitectures(tagName: string) {
    const shared = uniqueBytes(700);
    const images = [
      await this.addImage([shared, uniqueBytes(300)]),
      await this.addImage([shared, uniqueBytes(400)]),
    ];
    return { images, index: await this.addIndex(images, tagName) };
  }
}

function partOf(blob: Bytes, range: string | null): Response {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined) {
    return new Response(blob);
  }
  const part = blob.slice(Number(first), Number(last) + 1);
  const end = Number(first) + part.byteLength - 1;
  return new Response(part, {
    status: 206,
    headers: { 'Content-Range': `bytes ${first}-${end}/${blob.byteLength}` },
  });
}
