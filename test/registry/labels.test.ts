import { describe, it } from 'vitest';

import type { LabelSource } from '../../src/model/datatypes.ts';
import { JSON_PARAMETER_BYTES_MAX, LABEL_VALUE_BYTES_MAX } from '../../src/model/limits.ts';
import { footprint } from '../support/footprint.ts';
import { execute, openStage, select } from '../support/stage.ts';

/** A stage with a manifest, and short names for what is done to its labels. */
async function aManifest(labels: Readonly<Record<string, string>> = {}) {
  const stage = await openStage();
  const { manifest } = await stage.push('latest', await stage.image({ labels }));
  const { registry } = stage;
  return {
    ...stage,
    manifest,
    create: (key: string, value = '', source: LabelSource = 'api', mediaType?: string | null) =>
      registry.createManifestLabel(manifest, key, value, source, mediaType),
    list: (keyPrefix?: string | null) => registry.listManifestLabels(manifest, keyPrefix),
    keys: async (keyPrefix?: string | null) =>
      (await registry.listManifestLabels(manifest, keyPrefix)).map(({ key }) => key),
  };
}

const INVALID_KEY = (key: string) => ({ code: 'InvalidLabelKey', detail: { key } });

describe('createManifestLabel', () => {
  it('scenario 1 (blobs): makes a label that is listed, found and gone once it is deleted', async ({
    expect,
  }) => {
    const { registry, manifest, create, list } = await aManifest();
    const label = await create('foo', 'bar');
    expect(label).toEqual({
      uuid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      key: 'foo',
      value: 'bar',
      sourceType: 'api',
      mediaType: 'text/plain',
    });
    const uuid = label?.uuid ?? '';
    expect(await list()).toEqual([label]);
    expect(await list('fo')).toEqual([label]);
    expect(await list('ba')).toEqual([]);
    expect(await registry.getManifestLabel(manifest, uuid)).toEqual(label);
    expect(await registry.deleteManifestLabel(manifest, uuid)).toEqual(label);
    expect(await list()).toEqual([]);
    expect(await list('fo')).toEqual([]);
    expect(await registry.getManifestLabel(manifest, uuid)).toBeNull();
    expect(await registry.deleteManifestLabel(manifest, uuid)).toBeNull();
  });

  it('scenario 2 (blobs): refuses an odd key to the API, and takes it from an image', async ({
    expect,
  }) => {
    const { create, keys } = await aManifest();
    await expect(create('..foo')).rejects.toMatchObject(INVALID_KEY('..foo'));
    await expect(create('..foo', '', 'internal')).rejects.toMatchObject(INVALID_KEY('..foo'));
    expect(await create('..foo', '', 'manifest')).toMatchObject({ key: '..foo' });
    expect(await keys()).toEqual(['..foo']);
  });

  it.for([
    'bad_label',
    'invalid___key',
    'UPPER',
    'a..b',
    '-a',
    'a-',
    'a'.repeat(256),
    'a\n',
    'a b',
    'ä',
  ])('scenario 3 (blobs): refuses the key %j to the API', async (key, { expect }) => {
    const { create, list } = await aManifest();
    await expect(create(key)).rejects.toMatchObject(INVALID_KEY(key));
    expect(await list()).toEqual([]);
  });

  it('scenario 3 (blobs): takes what is legal at the edge, and any key of an image', async ({
    expect,
  }) => {
    const { create, keys } = await aManifest();
    const legal = ['a', '0', 'a.b-c.d', 'org.example.x', 'a'.repeat(255)];
    for (const key of legal) {
      await create(key);
    }
    const odd = 'theoretically-invalid--label';
    await create(odd, '', 'manifest');
    expect(await keys()).toEqual([...legal, odd]);
  });

  it.for([['api'], ['manifest'], ['internal']] as const)(
    'scenario 4 (blobs): refuses the empty key of source %s',
    async ([source], { expect }) => {
      const { create, list } = await aManifest();
      await expect(create('', 'value', source)).rejects.toMatchObject(INVALID_KEY(''));
      expect(await list()).toEqual([]);
    },
  );

  it('scenario 5 (blobs): refuses an unknown media type and stores nothing', async ({ expect }) => {
    const { create, list } = await aManifest();
    for (const mediaType of ['bad_media_type', '', 'text/html', 'TEXT/PLAIN']) {
      await expect(create('key', 'value', 'api', mediaType)).rejects.toMatchObject({
        code: 'InvalidMediaType',
        detail: { mediaType },
      });
    }
    expect(await list()).toEqual([]);
  });

  it('scenario 6 (blobs): tells JSON from text where no media type is given', async ({
    expect,
  }) => {
    const { create } = await aManifest();
    const mediaTypeOf = async (value: string, mediaType?: string | null) =>
      (await create('key', value, 'api', mediaType))?.mediaType;
    expect(await mediaTypeOf('{"some": "json"}')).toBe('application/json');
    expect(await mediaTypeOf('{"some": "json"}', null)).toBe('application/json');
    expect(await mediaTypeOf('{"some": "json"}', 'text/plain')).toBe('text/plain');
    expect(await mediaTypeOf('not json', 'application/json')).toBe('application/json');
    for (const value of ['[hello world]', '{wassup?!}', '', ' {}']) {
      expect(await mediaTypeOf(value), value).toBe('text/plain');
    }
  });

  it('scenario 7 (blobs): lists those of every source on their manifest, none on another', async ({
    expect,
  }) => {
    const { registry, create, list, ...stage } = await aManifest();
    const { manifest: other } = await stage.push('other', await stage.image());
    const labels = [
      await create('from-image', 'a', 'manifest'),
      await create('from-api', 'b', 'api'),
      await create('from-us', 'c', 'internal'),
    ];
    expect(await list()).toEqual(labels);
    expect(await registry.listManifestLabels(other)).toEqual([]);
  });

  it('scenario 9 (blobs): makes two labels of one key', async ({ expect }) => {
    const { create, list } = await aManifest();
    const labels = [await create('key', 'one'), await create('key', 'other')];
    expect(new Set(labels.map((label) => label?.uuid)).size).toBe(2);
    expect(await list()).toEqual(labels);
  });

  it('scenario 14 (blobs): gives null where the manifest is gone, after it looked at the label', async ({
    expect,
  }) => {
    const { registry, manifest } = await aManifest();
    const gone = { ...manifest, id: manifest.id + 1 };
    const before = await footprint();
    expect(await registry.createManifestLabel(gone, 'key', 'value', 'api')).toBeNull();
    const batch = registry.batchCreateManifestLabels(gone, (add) => add('key', 'value', 'api'));
    expect(await batch).toBeNull();
    const invalid = registry.createManifestLabel(gone, '', 'value', 'api');
    await expect(invalid).rejects.toMatchObject({ code: 'InvalidLabelKey' });
    expect(await registry.listManifestLabels(gone)).toEqual([]);
    expect(await footprint()).toEqual(before);
  });

  it('gives an image each of its own labels once, whoever says so', async ({ expect }) => {
    const { registry, manifest, create, list } = await aManifest({ key: 'of the image' });
    const own = await list();
    const refusal = { code: 'ImmutableLabel', detail: { key: 'key' } };
    await expect(create('key', 'another', 'manifest')).rejects.toMatchObject(refusal);
    const twice = registry.batchCreateManifestLabels(manifest, (add) => {
      add('other', 'one', 'api');
      add('new', 'one', 'manifest');
      add('new', 'two', 'manifest');
    });
    await expect(twice).rejects.toMatchObject({ ...refusal, detail: { key: 'new' } });
    expect(await list()).toEqual(own);
    const added = await create('key', 'another');
    expect(await list()).toEqual([...own, added]);
  });

  it('keeps keys and values as they are, whatever is in them', async ({ expect }) => {
    const { registry, manifest, create, list } = await aManifest();
    const labels = [
      await create(`'%_"\\`, `'); DROP TABLE tag; --`, 'manifest'),
      await create('🦄 ', '{"a":"\\u0000 🦄"}', 'manifest'),
      await create('number', '007'),
      await create('null', 'null'),
      await create('long', 'ä'.repeat(LABEL_VALUE_BYTES_MAX)),
    ];
    expect(await list()).toEqual(labels);
    for (const label of labels) {
      expect(await registry.getManifestLabel(manifest, label?.uuid ?? '')).toEqual(label);
    }
  });

  it('I-FROZEN: does nothing in a repository that is marked for deletion', async ({ expect }) => {
    const { registry, manifest, repository, create, list } = await aManifest();
    const label = await create('key', 'value');
    const tags = await select('SELECT * FROM tag');
    await execute('UPDATE repository SET state = 3 WHERE id = ?', repository.id);
    const before = await footprint();
    expect(await create('other')).toBeNull();
    expect(await create('quay.expires-after', '1h')).toBeNull();
    expect(await create('quay.immutable', 'true')).toBeNull();
    const batch = registry.batchCreateManifestLabels(manifest, (add) => add('a', 'b', 'internal'));
    expect(await batch).toBeNull();
    expect(await registry.deleteManifestLabel(manifest, label?.uuid ?? '')).toBeNull();
    expect(await footprint()).toEqual(before);
    expect(await list()).toEqual([label]);
    expect(await select('SELECT * FROM tag')).toEqual(tags);
  });
});

describe('batchCreateManifestLabels', () => {
  it('scenario 13 (blobs): adds three labels, in their order', async ({ expect }) => {
    const { registry, manifest, list } = await aManifest();
    const labels = await registry.batchCreateManifestLabels(manifest, async (add) => {
      add('b', '1', 'api');
      await Promise.resolve();
      add('a', '2', 'internal', 'application/json');
      add('c', '3', 'manifest', null);
    });
    expect(labels).toMatchObject([
      { key: 'b', value: '1', sourceType: 'api', mediaType: 'text/plain' },
      { key: 'a', value: '2', sourceType: 'internal', mediaType: 'application/json' },
      { key: 'c', value: '3', sourceType: 'manifest', mediaType: 'text/plain' },
    ]);
    expect(await list()).toEqual(labels);
  });

  it('scenario 13 (blobs): adds none if the callback throws or one of them is refused', async ({
    expect,
  }) => {
    const { registry, repository, manifest, list } = await aManifest();
    const thrown = new Error('enough');
    const broken = registry.batchCreateManifestLabels(manifest, (add) => {
      add('one', '', 'api');
      add('quay.immutable', 'true', 'internal');
      throw thrown;
    });
    await expect(broken).rejects.toBe(thrown);
    const refused = registry.batchCreateManifestLabels(manifest, (add) => {
      add('one', '', 'api');
      add('quay.immutable', 'true', 'internal');
      add('TWO', '', 'api');
    });
    await expect(refused).rejects.toMatchObject({ code: 'InvalidLabelKey' });
    expect(await list()).toEqual([]);
    expect(await registry.getRepoTag(repository, 'latest')).toMatchObject({
      immutable: false,
    });
  });

  it('asks nothing where nothing was added', async ({ expect }) => {
    const { registry, manifest, meter } = await aManifest();
    const before = meter.usage.d1RoundTrips;
    expect(await registry.batchCreateManifestLabels(manifest, () => undefined)).toEqual([]);
    expect(meter.usage.d1RoundTrips).toBe(before);
  });

  it('adds more than one parameter of the database can hold, in one round trip', async ({
    expect,
  }) => {
    const { registry, manifest, meter, list } = await aManifest();
    const value = 'x'.repeat(JSON_PARAMETER_BYTES_MAX / 3);
    const before = { ...meter.usage };
    const labels = await registry.batchCreateManifestLabels(manifest, (add) => {
      for (let number = 0; number < 7; number += 1) {
        add(`key-${6 - number}`, `${value}${number}`, 'api');
      }
    });
    expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(1);
    // Two of them fit into a list.
    expect(meter.usage.d1Statements - before.d1Statements).toBe(4);
    expect(labels).toHaveLength(7);
    expect(await list()).toEqual(labels);
  });
});

describe('listManifestLabels', () => {
  it('takes the prefix as it is written, whatever its length and letters', async ({ expect }) => {
    const { create, keys } = await aManifest();
    const long = 'p'.repeat(100);
    for (const key of ['ab', 'a_b', 'A_c', 'a%b', `${long}.x`, '🦄x', '🦄y']) {
      await create(key, '', 'manifest');
    }
    const all = await keys();
    expect(await keys(null)).toEqual(all);
    expect(await keys('')).toEqual(all);
    expect(await keys('a_')).toEqual(['a_b']);
    expect(await keys('a%')).toEqual(['a%b']);
    expect(await keys('a')).toEqual(['ab', 'a_b', 'a%b']);
    expect(await keys('b')).toEqual([]);
    expect(await keys(`${long}.`)).toEqual([`${long}.x`]);
    expect(await keys('🦄')).toEqual(['🦄x', '🦄y']);
    expect(await keys(`${long}.xx`)).toEqual([]);
  });
});

describe('getManifestLabel and deleteManifestLabel', () => {
  it('I-SCOPE: reach a label only through its own manifest', async ({ expect }) => {
    const { registry, create, list, ...stage } = await aManifest();
    const { manifest: other } = await stage.push('other', await stage.image());
    const label = await create('key', 'value');
    const uuid = label?.uuid ?? '';
    expect(await registry.getManifestLabel(other, uuid)).toBeNull();
    expect(await registry.deleteManifestLabel(other, uuid)).toBeNull();
    expect(await list()).toEqual([label]);
  });

  it.for([['manifest'], ['internal']] as const)(
    'scenario 8 (blobs): do not take away a label of source %s',
    async ([source], { expect }) => {
      const { registry, manifest, create, list } = await aManifest();
      const label = await create('key', 'value', source);
      const refused = registry.deleteManifestLabel(manifest, label?.uuid ?? '');
      await expect(refused).rejects.toMatchObject({
        code: 'ImmutableLabel',
        detail: { key: 'key' },
      });
      expect(await list()).toEqual([label]);
    },
  );
});
