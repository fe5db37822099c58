import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { parseImageConfig } from '../../src/image/config.ts';
import {
  effectiveLabel,
  IMMUTABLE_LABEL,
  labelMediaType,
  manifestLabels,
  parseExpiresAfter,
} from '../../src/image/labels.ts';
import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { parseManifest } from '../../src/image/parse.ts';
import { bodies, bytesOf, parseImage, refusalOf } from './build.ts';

const bodyType = fc.constantFrom(...Object.keys(bodies).filter(isBodyType));
const contentType = fc.oneof(
  fc.constantFrom(null, 'application/json', ...Object.values(MANIFEST_MEDIA_TYPES)),
  fc.string(),
);
const localDigest = fc.oneof(
  fc.stringMatching(/^sha256:[0-9a-f]{64}$/),
  fc.stringMatching(/^sha512:[0-9a-f]{128}$/),
);
const size = fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 40));
const annotations = fc.dictionary(fc.string(), fc.string());
const descriptor = fc.record(
  {
    mediaType: fc.constantFrom('application/vnd.oci.image.layer.v1.tar+gzip', 'text/plain'),
    size,
    digest: localDigest,
    urls: fc.array(fc.webUrl(), { maxLength: 2 }),
    annotations,
  },
  { requiredKeys: ['mediaType', 'size', 'digest'] },
);
const ociImage = fc.record(
  {
    schemaVersion: fc.constant(2),
    config: descriptor,
    layers: fc.array(descriptor, { maxLength: 8 }),
    subject: descriptor,
    artifactType: fc.constantFrom('application/vnd.example'),
    annotations,
  },
  { requiredKeys: ['schemaVersion', 'config', 'layers'] },
);

function isBodyType(name: string): name is keyof typeof bodies {
  return name in bodies;
}

/** The same JSON with the keys of every object in reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(reversed);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reversed(item)]),
  );
}

/** What a manifest says, apart from its bytes. */
async function contentOf(body: unknown) {
  const { digest, bytes: _, ...content } = await parseImage('ociManifest', body);
  return { digest, content };
}

describe('parseManifest, for whatever it is given', () => {
  // `refusalOf` lets everything pass but a refusal of ours, so each of these would fail by itself.
  it('either parses bytes or refuses them', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), contentType, async (bytes, type) => {
        const given = Uint8Array.from(bytes);
        const refusal = await refusalOf(() => parseManifest(given, { contentType: type }));
        expect(refusal).not.toBeNull();
      }),
    );
  });

  it('either parses JSON or refuses it', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(fc.json(), contentType, async (text, type) => {
        const refusal = await refusalOf(() => parseManifest(bytesOf(text), { contentType: type }));
        expect(refusal).not.toBeNull();
      }),
    );
  });

  it('either parses a body with one field replaced or refuses it', async ({ expect }) => {
    const field = fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'config',
      'layers',
      'manifests',
      'subject',
      'artifactType',
      'annotations',
      '__proto__',
      'constructor',
    );
    const value = fc.oneof(fc.jsonValue(), fc.array(descriptor), descriptor);
    await fc.assert(
      fc.asyncProperty(bodyType, field, value, async (type, key, replacement) => {
        const body = JSON.stringify({ ...bodies[type](), [key]: replacement });
        const refusal = await refusalOf(() =>
          parseManifest(bytesOf(body), { contentType: MANIFEST_MEDIA_TYPES[type] }),
        );
        expect(['ManifestInvalid', undefined]).toContain(refusal?.code);
      }),
    );
  });

  it('gives the descriptors of a valid manifest as they are', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(ociImage, async (body) => {
        const parsed = await parseImage('ociManifest', body);

        expect(parsed.config).toEqual(body.config);
        expect(parsed.layers).toEqual(body.layers.map((layer) => ({ ...layer, isRemote: false })));
        expect(parsed.subject).toEqual(body.subject ?? null);
        expect(parsed.annotations).toEqual(body.annotations ?? {});
        expect(new Set(parsed.localBlobDigests)).toEqual(
          new Set([...body.layers, body.config].map(({ digest }) => digest)),
        );
        expect(new Set(parsed.localBlobDigests).size).toBe(parsed.localBlobDigests.length);
        expect(parsed.layersCompressedSize).toBe(
          body.layers.reduce((sum, layer) => sum + layer.size, 0),
        );
      }),
    );
  });

  it('gives the same for other bytes of the same JSON, but another digest', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(ociImage, async (body) => {
        const plain = await contentOf(body);
        const shuffled = await contentOf(reversed(body));
        const spaced = await contentOf(JSON.stringify(body, null, 2));

        expect(shuffled.content).toEqual(plain.content);
        expect(spaced.content).toEqual(plain.content);
        expect(new Set([plain.digest, shuffled.digest, spaced.digest]).size).toBe(3);
      }),
    );
  });
});

describe('parseImageConfig, for whatever it is given', () => {
  it('either reads it or refuses it, and its labels can be stored', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('dockerManifest', 'ociManifest'),
        fc.jsonValue(),
        fc.constantFrom('history', 'rootfs', 'config', 'architecture', 'Labels'),
        async (type, value, key) => {
          const valid = {
            architecture: 'amd64',
            os: 'linux',
            history: [],
            rootfs: { type: 'layers', diff_ids: [] },
          };
          const config = key === 'Labels' ? { config: { Labels: value } } : { [key]: value };
          const bytes = bytesOf({ ...valid, ...config });
          const body = bodies[type]();
          const parsed = await parseImage(type, {
            ...body,
            config: { ...(body.config as object), size: bytes.byteLength },
          });

          const refusal = await refusalOf(() => {
            const labels = manifestLabels(parsed, parseImageConfig(bytes, parsed));
            expect(labels.every((label) => label.key !== '')).toBe(true);
          });
          expect(['ManifestInvalid', undefined]).toContain(refusal?.code);
        },
      ),
    );
  });
});

describe('labels, for whatever they hold', () => {
  it('are JSON for every JSON object and array', ({ expect }) => {
    fc.assert(
      fc.property(fc.oneof(fc.array(fc.jsonValue()), fc.object()), (value) => {
        expect(labelMediaType(JSON.stringify(value))).toBe('application/json');
      }),
    );
  });

  it('expire after a positive whole number of seconds or never', ({ expect }) => {
    const duration = fc
      .tuple(fc.nat(2_000_000_000), fc.constantFrom('s', 'm', 'h', 'd', 'w', 'y', 'M', ''))
      .map(([count, unit]) => `${count}${unit}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), duration), (value) => {
        const seconds = parseExpiresAfter(value);
        expect(seconds === null || (seconds > 0 && Number.isSafeInteger(seconds * 1000))).toBe(
          true,
        );
      }),
    );
  });

  it('count for a list regardless of the order of its children', ({ expect }) => {
    const value = fc.constantFrom(null, 'true', ' TRUE', 'false');
    fc.assert(
      fc.property(fc.array(value), (children) => {
        expect(effectiveLabel(null, children.toReversed(), IMMUTABLE_LABEL)).toBe(
          effectiveLabel(null, children, IMMUTABLE_LABEL),
        );
      }),
    );
  });
});
