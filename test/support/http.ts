import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import worker from '../../src/index.ts';
import { type Bytes, encodeUtf8 } from '../../src/model/bytes.ts';
import { computeDigest, type Digest, type DigestAlgorithm } from '../../src/model/digest.ts';
import { streamOf, uniqueBytes } from './content.ts';

/** Where the tests' clients believe the registry to be. */
export const ORIGIN = 'http://registry.test';

/** An `Authorization` header of the Basic scheme. */
export function basic(username: string, password: string): string {
  return `Basic ${btoa(`${username}:${password}`)}`;
}

export const ADMINISTRATOR = basic('admin', env.ADMIN_PASSWORD);

export interface Call {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodyInit | null;
  /** The header's value; null for a caller without. The administrator's Basic by default. */
  readonly authorization?: string | null;
  /** Where the edge says that the call comes from; it says nothing by default. */
  readonly country?: string;
}

/** An answer whose body was read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Bytes;
  readonly text: string;
}

/** A request to the registry. */
export function requestOf(method: string, path: string, call: Call = {}) {
  const { headers = {}, body = null, authorization = ADMINISTRATOR, country } = call;
  const withAuthorization = authorization === null ? {} : { Authorization: authorization };
  return new Request<unknown, IncomingRequestCfProperties>(new URL(path, ORIGIN), {
    method,
    headers: { ...withAuthorization, ...headers },
    body,
    redirect: 'manual',
    // Nothing here reads what else the edge says of a request.
    ...(country === undefined ? {} : { cf: { country } as IncomingRequestCfProperties }),
  });
}

/** Sends a request to the built Worker and reads its answer to the end. */
export async function send(method: string, path: string, call: Call = {}): Promise<Answer> {
  return readAnswer(await exports.default.fetch(requestOf(method, path, call)));
}

/** The same, and waits for what the Worker does behind the answer. */
export async function sendAndSettle(
  method: string,
  path: string,
  { bindings = env, ...call }: Call & { readonly bindings?: Env } = {},
): Promise<Answer> {
  const context = createExecutionContext();
  const answer = await readAnswer(
    await worker.fetch(requestOf(method, path, call), bindings, context),
  );
  await waitOnExecutionContext(context);
  return answer;
}

export async function readAnswer(response: Response): Promise<Answer> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { status, headers } = response;
  return { status, headers, bytes, text: new TextDecoder().decode(bytes) };
}

/** The bytes as a body whose length nobody announces. */
export function unannounced(bytes: Bytes): ReadableStream<Uint8Array> {
  return streamOf(bytes).pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
}

/** The headers of these names, in lower case, absent ones left out. */
export function pick(
  { headers }: Pick<Answer, 'headers'>,
  ...names: readonly string[]
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
}

interface ErrorEntry {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

/** The entries of an error's body, which has nothing but them. */
export function errorsOf({ text }: Pick<Answer, 'text'>): readonly ErrorEntry[] {
  const { errors, ...rest } = JSON.parse(text) as { errors: readonly ErrorEntry[] };
  if (Object.keys(rest).length > 0) {
    throw new Error(`more than errors: ${text}`);
  }
  return errors;
}

/** `status CODE CODE…`, which is what most tests of refusals are about. */
export function refusal(answer: Answer): string {
  return [answer.status, ...errorsOf(answer).map(({ code }) => code)].join(' ');
}

/** What the answer cost at the bucket: reads and writes. */
export function bucketCost({ headers }: Pick<Answer, 'headers'>): string {
  return /r2;desc="([^"]*)"/.exec(headers.get('Server-Timing') ?? '')?.[1] ?? 'unknown';
}

/** The path of an answer's `Location`. */
export function locationOf({ headers }: Pick<Answer, 'headers'>): string {
  const location = headers.get('Location');
  if (location === null) {
    throw new Error('the answer has no Location');
  }
  return location;
}

/** Adds a parameter to a location, as clients do: behind those that it has. */
export function withQuery(location: string, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(location, ORIGIN);
  for (const [name, value] of Object.entries(parameters)) {
    url.searchParams.append(name, value);
  }
  return `${url.pathname}${url.search}`;
}

let names = 0;

/** A repository's name that no other test of this file uses. Nothing late of one hits another. */
export function aName(): string {
  names += 1;
  return `acme/app-${names}`;
}

/** Begins an upload and gives its location. */
export async function startUpload(name: string): Promise<string> {
  const started = await send('POST', `/v2/${name}/blobs/uploads/`);
  if (started.status !== 202) {
    throw new Error(`no upload was begun: ${started.status} ${started.text}`);
  }
  return locationOf(started);
}

/** Uploads a blob by POST and PUT, and gives its digest. */
export async function uploadBlob(
  name: string,
  bytes: Bytes = uniqueBytes(),
  algorithm: DigestAlgorithm = 'sha256',
): Promise<Digest> {
  const digest = await computeDigest(algorithm, bytes);
  const session = await startUpload(name);
  const closed = await send('PUT', withQuery(session, { digest }), { body: bytes });
  if (closed.status !== 201) {
    throw new Error(`the blob was not stored: ${closed.status} ${closed.text}`);
  }
  return digest;
}

/** A manifest as a client sends it. */
export interface SentManifest {
  readonly mediaType: string;
  readonly bytes: Bytes;
  readonly digest: Digest;
}

export async function manifestOf(
  mediaType: string,
  content: object,
  algorithm: DigestAlgorithm = 'sha256',
): Promise<SentManifest> {
  const bytes = encodeUtf8(JSON.stringify(content));
  return { mediaType, bytes, digest: await computeDigest(algorithm, bytes) };
}

/** How a manifest names another one, or itself. */
export function descriptorOf({ mediaType, bytes, digest }: SentManifest) {
  return { mediaType, size: bytes.byteLength, digest };
}

/** An OCI image that nothing else has; its config and layer are in the repository, it is not. */
export async function imageIn(name: string, fields: object = {}): Promise<SentManifest> {
  const [config, layer] = [uniqueBytes(), uniqueBytes(100)];
  return manifestOf(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociManifest,
    config: {
      mediaType: 'application/vnd.example.config',
      size: config.byteLength,
      digest: await uploadBlob(name, config),
    },
    layers: [
      {
        mediaType: 'application/octet-stream',
        size: layer.byteLength,
        digest: await uploadBlob(name, layer),
      },
    ],
    ...fields,
  });
}

/** An OCI index of these manifests. */
export async function indexOf(
  children: readonly SentManifest[],
  fields: object = {},
): Promise<SentManifest> {
  return manifestOf(MANIFEST_MEDIA_TYPES.ociIndex, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociIndex,
    manifests: children.map(descriptorOf),
    annotations: { unique: crypto.randomUUID() },
    ...fields,
  });
}

/** Sends a manifest; by default under its own digest. */
export async function putManifest(
  name: string,
  manifest: SentManifest,
  reference: string = manifest.digest,
): Promise<Answer> {
  return send('PUT', `/v2/${name}/manifests/${reference}`, {
    headers: { 'Content-Type': manifest.mediaType },
    body: manifest.bytes,
  });
}

/** Pushes an image of one layer under a tag. */
export async function pushImage(name: string, tagName: string, fields: object = {}) {
  const image = await imageIn(name, fields);
  const put = await putManifest(name, image, tagName);
  if (put.status !== 201) {
    throw new Error(`the image was not stored: ${put.status} ${put.text}`);
  }
  return image;
}
