import { describe, it } from 'vitest';

import { JSON_DEPTH_MAX } from '../../src/image/json.ts';
import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { parseManifest, parseStoredManifest } from '../../src/image/parse.ts';
import { computeDigest, parseDigest } from '../../src/model/digest.ts';
import { CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX } from '../../src/model/limits.ts';
import { MANIFESTS } from '../fixtures/index.ts';
import { bodies, bytesOf, descriptor, invalidReason, reasonOf, refusalOf } from './build.ts';

const { ociManifest, ociIndex, dockerManifest } = MANIFEST_MEDIA_TYPES;

/** A valid manifest with one unknown key, whose value is this JSON. */
function withRaw(json: string) {
  return bytesOf(JSON.stringify(bodies.ociManifest({ x: 0 })).replace('"x":0', `"x":${json}`));
}

function nested(levels: number) {
  return '['.repeat(levels) + ']'.repeat(levels);
}

function withConfig(size: number, mediaType: string) {
  return bodies.ociManifest({ config: descriptor(1, { size, mediaType }) });
}

describe('the media type of a push', () => {
  it.for([
    ['as it is', ociManifest],
    ['with parameters', `${ociManifest}; charset=utf-8`],
    ['with parameters and no space', `${ociManifest};q=1;v="a;b"`],
    ['in upper case', ociManifest.toUpperCase()],
    ['between blanks', `  ${ociManifest}\t`],
  ])('is taken from the header %s', async ([, contentType = ''], { expect }) => {
    const parsed = await parseManifest(bytesOf(bodies.ociManifest()), { contentType });

    expect(parsed.mediaType).toBe(ociManifest);
  });

  it.for([[null], [''], ['application/json'], ['Application/JSON; charset=utf-8']])(
    'is the one in the body where the header is %j',
    async ([contentType = null], { expect }) => {
      const { bytes } = MANIFESTS.dockerImage;
      const parsed = await parseManifest(bytes, { contentType });
      const refusal = await refusalOf(() =>
        parseManifest(bytesOf(bodies.ociManifest()), { contentType }),
      );

      expect(parsed.mediaType).toBe(dockerManifest);
      expect(refusal?.code).toBe('ManifestTypeUnsupported');
    },
  );

  it.for([
    'application/vnd.docker.distribution.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'application/octet-stream',
    'text/html; charset=utf-8',
    'nonsense',
  ])('is refused when it is %s, whatever the body says', async (contentType, { expect }) => {
    const refusal = await refusalOf(() =>
      parseManifest(MANIFESTS.ociImage.bytes, { contentType, reference: 'sha256:bad' }),
    );

    expect(refusal?.code).toBe('ManifestTypeUnsupported');
  });

  it.for(['', 'not json', '[]', '{}', '{"mediaType": 1}', '{"mediaType": "text/plain"}'])(
    'is refused when neither header nor the body %j names it',
    async (body, { expect }) => {
      const refusal = await refusalOf(() => parseManifest(bytesOf(body), { contentType: null }));

      expect(refusal?.code).toBe('ManifestTypeUnsupported');
    },
  );

  it.for([
    ['ociManifest', ociIndex],
    ['ociIndex', ociManifest],
    ['dockerManifest', ociManifest],
    ['dockerList', ociIndex],
    ['ociManifest', ''],
    ['ociManifest', null],
  ] as const)(
    'of %s must be the one in the body, not %s',
    async ([type, mediaType], { expect }) => {
      expect(await invalidReason(type, bodies[type]({ mediaType }))).toMatch(/^mediaType: /);
    },
  );
});

describe('the bytes of a push', () => {
  const contentType = ociManifest;
  const reasonFor = (bytes: Uint8Array<ArrayBuffer>) =>
    reasonOf(() => parseManifest(bytes, { contentType }));

  it('may be as many as the limit, and not one more', async ({ expect }) => {
    const text = JSON.stringify(bodies.ociManifest());
    const full = text.padEnd(MANIFEST_BYTES_MAX, ' ');

    const parsed = await parseManifest(bytesOf(full), { contentType });
    const refusal = await refusalOf(() => parseManifest(bytesOf(`${full} `), { contentType }));
    const untyped = await refusalOf(() =>
      parseManifest(bytesOf(`${full} `), { contentType: null }),
    );

    expect(parsed.bytes.byteLength).toBe(MANIFEST_BYTES_MAX);
    expect(refusal?.detail).toEqual({ maxBytes: MANIFEST_BYTES_MAX });
    expect(untyped?.code).toBe('ManifestTooLarge');
  });

  it('must be UTF-8 without a byte order mark', async ({ expect }) => {
    const text = JSON.stringify(bodies.ociManifest({ note: 'ä' }));
    const latin1 = Uint8Array.from(text, (letter) => letter.charCodeAt(0));

    expect(await reasonFor(bytesOf(text))).toBeNull();
    expect(await reasonFor(latin1)).toBe('manifest: is not valid UTF-8');
    expect(await reasonFor(bytesOf(`\uFEFF${text}`))).toBe(
      'manifest: begins with a byte order mark',
    );
  });

  it.for(['', ' ', '{', 'null', '2', '"text"', '[]', '{"a":1,}', "{'a':1}", '{} {}'])(
    'must be a JSON object, not %j',
    async (text, { expect }) => {
      expect(await reasonFor(bytesOf(text))).toMatch(
        /^manifest: is not (a JSON object|valid JSON)/,
      );
    },
  );

  it.for([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"a":', '}]'],
  ])('must not be nested like %s, closed or not', async ([open = '', close = ''], { expect }) => {
    const opened = open.repeat(100_000);
    const bomb = `${opened}0${close.repeat(100_000)}`;

    expect(await reasonFor(bytesOf(opened))).not.toBeNull();
    expect(await reasonFor(bytesOf(bomb))).not.toBeNull();
    expect(await reasonFor(withRaw(bomb))).toMatch(/^manifest: is nested more than/);
  });

  it('may be nested as deep as the limit', async ({ expect }) => {
    expect(await reasonFor(withRaw(nested(JSON_DEPTH_MAX - 1)))).toBeNull();
    expect(await reasonFor(withRaw(nested(JSON_DEPTH_MAX)))).not.toBeNull();
  });

  it('are refused soon and in few words where a list has a million bad items', async ({
    expect,
  }) => {
    const zeros = `[${'0,'.repeat(1_000_000)}0]`;
    const withZeros = (fields: Record<string, unknown>, key: string) =>
      JSON.stringify(bodies.ociManifest(fields)).replace(`"${key}":0`, `"${key}":${zeros}`);

    const layers = await reasonFor(bytesOf(withZeros({ layers: 0 }, 'layers')));
    const urls = await reasonFor(
      bytesOf(withZeros({ layers: [descriptor(1, { urls: 0 })] }, 'urls')),
    );

    expect(layers).toMatch(/^layers: Too big/);
    expect(urls).toMatch(/^layers\.0\.urls\.0: /);
  });

  it.for([1, 3, '2', null, undefined, [2]])(
    'must have schema version 2, not %j',
    async (schemaVersion, { expect }) => {
      for (const type of ['dockerManifest', 'dockerList', 'ociManifest', 'ociIndex'] as const) {
        expect(await invalidReason(type, bodies[type]({ schemaVersion }))).toMatch(
          /^schemaVersion: /,
        );
      }
    },
  );

  it('may have any further keys anywhere', async ({ expect }) => {
    for (const type of ['dockerManifest', 'dockerList', 'ociManifest', 'ociIndex'] as const) {
      const body = JSON.stringify(bodies[type]()).replaceAll(
        '"size":',
        '"org.custom":{"a":[1]},"data":"e30=","constructor":{},"__proto__":{"size":-1},"size":',
      );
      expect(await invalidReason(type, body)).toBeNull();
      expect(await invalidReason(type, bodies[type]({ custom: null, toString: 1 }))).toBeNull();
    }
  });
});

describe('the digest of a push', () => {
  const { bytes, mediaType: contentType, digest } = MANIFESTS.ociImage;
  const parse = (reference: string | null) => parseManifest(bytes, { contentType, reference });

  it('is the sha256 of the bytes when pushed by tag', async ({ expect }) => {
    const byDefault = await parseManifest(bytes, { contentType });

    expect((await parse(null)).digest).toBe(digest);
    expect(byDefault.digest).toBe(digest);
  });

  it('is the one it was pushed by, sha512 too', async ({ expect }) => {
    const sha512 = await computeDigest('sha512', bytes);

    expect((await parse(digest)).digest).toBe(digest);
    expect((await parse(sha512)).digest).toBe(sha512);
  });

  it('must be the one it was pushed by, which the refusal shows', async ({ expect }) => {
    const expected = `sha256:${'0'.repeat(64)}`;
    const refusal = await refusalOf(() => parse(expected));

    expect(refusal).toMatchObject({ code: 'DigestMismatch', detail: { expected, actual: digest } });
  });

  it.for([
    'sha256:baddigeststring',
    digest.toUpperCase(),
    digest.replace('sha256', 'SHA256'),
    `sha256:${digest.slice('sha256:'.length).toUpperCase()}`,
    digest.slice('sha256:'.length),
    `${digest} `,
    `md5:${'0'.repeat(32)}`,
    `sha512:${digest.slice('sha256:'.length)}`,
    '',
  ])('mismatches a reference like %j', async (reference, { expect }) => {
    const refusal = await refusalOf(() => parse(reference));

    expect(refusal).toMatchObject({
      code: 'DigestMismatch',
      detail: { expected: reference, actual: null },
    });
  });

  it('is compared before the bytes are read', async ({ expect }) => {
    const refusal = await refusalOf(() =>
      parseManifest(bytesOf('not json'), { contentType, reference: digest }),
    );

    expect(refusal?.code).toBe('DigestMismatch');
  });
});

describe('the config of a push', () => {
  it('may have as many bytes as are read into memory, unless it is no image', async ({
    expect,
  }) => {
    const image = 'application/vnd.oci.image.config.v1+json';
    const artifact = 'application/vnd.cncf.helm.config.v1+json';

    expect(await invalidReason('ociManifest', withConfig(CONFIG_BYTES_MAX, image))).toBeNull();
    expect(await invalidReason('ociManifest', withConfig(CONFIG_BYTES_MAX + 1, image))).toMatch(
      /^config\.size: /,
    );
    expect(
      await invalidReason('ociManifest', withConfig(CONFIG_BYTES_MAX + 1, artifact)),
    ).toBeNull();
  });
});

describe('parseStoredManifest', () => {
  it('keeps the digest of the row without hashing', async ({ expect }) => {
    const digest = parseDigest(`sha256:${'0'.repeat(64)}`);

    expect(digest).not.toBeNull();
    if (digest !== null) {
      const { bytes, mediaType } = MANIFESTS.ociIndex;
      expect(parseStoredManifest(bytes, { mediaType, digest })).toMatchObject({ digest });

      const refusal = await refusalOf(() =>
        parseStoredManifest(bytes, { mediaType: 'text/plain', digest }),
      );
      expect(refusal?.code).toBe('ManifestTypeUnsupported');
    }
  });
});
