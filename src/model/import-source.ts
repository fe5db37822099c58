import { type Digest, parseDigest } from './digest.ts';
import { parseTagName, type TagName } from './names.ts';
import { type OutboundRules, outboundProblem } from './outbound-address.ts';

/** A repository of another registry. */
export interface ImportSource {
  /** `https://registry.example.com`, or with a port. */
  readonly origin: string;
  /** The repository's name there: `acme/app`. */
  readonly path: string;
}

/** Where an import comes from: a repository elsewhere, or one thing in it. */
export interface ImportReference extends ImportSource {
  /** The tag or digest that is meant; null: the repository. A digest decides where both are given. */
  readonly reference: TagName | Digest | null;
  /** The tag that was given, with a digest or without. */
  readonly tagName: TagName | null;
}

/** A component of a name is laxer elsewhere than here; none can climb out of its path. */
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const SOURCE = new RegExp(
  `^(?<scheme>https?://)?(?<host>\\[[0-9a-f:.]+\\]|[a-z0-9.-]+)(?<port>:[0-9]{1,5})?` +
    `/(?<path>${COMPONENT}(?:/${COMPONENT})*)(?::(?<tag>[^:@/]+))?(?:@(?<digest>[^@]+))?$`,
);
const SOURCE_LENGTH_MAX = 512;

/**
 * Reads `[https://]host[:port]/name[:tag][@digest]`, or says what is wrong. The host is always given:
 * no registry is meant by default. It is written as it is, not as another form of an address.
 */
export function parseImportReference(
  text: string,
  rules: OutboundRules,
): { readonly reference: ImportReference } | { readonly problem: string } {
  const groups = text.length <= SOURCE_LENGTH_MAX ? SOURCE.exec(text)?.groups : undefined;
  if (groups === undefined) {
    return { problem: 'expected <host>/<name>:<tag> or <host>/<name>@<digest>' };
  }
  const { scheme = 'https://', host = '', port = '', path = '', tag, digest } = groups;
  const url = URL.parse(`${scheme}${host}${port}`);
  if (url === null || url.hostname !== host) {
    return { problem: `'${host}${port}' is no host as it is written` };
  }
  const problem = outboundProblem(url, rules);
  if (problem !== null) {
    return { problem };
  }
  const tagName = tag === undefined ? null : parseTagName(tag);
  const parsedDigest = digest === undefined ? null : parseDigest(digest);
  if (tag !== undefined && tagName === null) {
    return { problem: `'${tag}' is no name of a tag` };
  }
  if (digest !== undefined && parsedDigest === null) {
    return { problem: `'${digest}' is no digest` };
  }
  return {
    reference: { origin: url.origin, path, reference: parsedDigest ?? tagName, tagName },
  };
}
