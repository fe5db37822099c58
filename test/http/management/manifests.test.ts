import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { anAccount, giveRight } from '../../support/accounts.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  aName,
  imageIn,
  indexOf,
  manifestOf,
  pushImage,
  putManifest,
  send,
  uploadBlob,
} from '../../support/http.ts';
import { isolateWith } from '../../support/isolate.ts';
import { as, errorOf, firstRepositoryId, messageOf, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

const NO_DIGEST = `sha256:${'0'.repeat(64)}`;
const at = (name: string, digest: string, path = '') =>
  `/repository/${name}/manifest/${digest}${path}`;

/** An OCI image with a history of two steps, of which the last made no layer. */
async function pushWithHistory(name: string) {
  const layer = uniqueBytes(100);
  const config = encodeUtf8(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [NO_DIGEST] },
      history: [
        { created: '2026-01-16T16:09:14.123456789Z', created_by: 'ADD root.tar /', author: 'ada' },
        { created_by: '["/bin/sh","-c"]', comment: 'no layer', empty_layer: true },
      ],
      unique: crypto.randomUUID(),
    }),
  );
  const layerDigest = await uploadBlob(name, layer);
  const manifest = await manifestOf(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociManifest,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      size: config.byteLength,
      digest: await uploadBlob(name, config),
    },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        size: layer.byteLength,
        digest: layerDigest,
      },
    ],
  });
  await putManifest(name, manifest, 'v1');
  return { manifest, layerDigest };
}

describe('a manifest by HTTP', () => {
  it('is shown with its layers, base first, and without for a list', async ({ expect }) => {
    const name = aName();
    const { manifest, layerDigest } = await pushWithHistory(name);
    const shown = await sendManaged('GET', at(name, manifest.digest));
    expect([shown.status, shown.json]).toEqual([
      200,
      {
        digest: manifest.digest,
        is_manifest_list: false,
        manifest_data: new TextDecoder().decode(manifest.bytes),
        config_media_type: 'application/vnd.oci.image.config.v1+json',
        layers_compressed_size: 100,
        layers: [
          {
            index: 0,
            compressed_size: 100,
            is_remote: false,
            urls: null,
            command: ['ADD root.tar /'],
            comment: null,
            author: 'ada',
            blob_digest: layerDigest,
            created_datetime: 'Fri, 16 Jan 2026 16:09:14 -0000',
          },
          expect.objectContaining({
            index: 1,
            command: ['/bin/sh', '-c'],
            comment: 'no layer',
            created_datetime: null,
          }),
        ],
      },
    ]);
    const child = await imageIn(name);
    await putManifest(name, child);
    const index = await indexOf([child]);
    await putManifest(name, index, 'multi');
    expect((await sendManaged('GET', at(name, index.digest))).json).toMatchObject({
      is_manifest_list: true,
      layers: null,
      layers_compressed_size: 0,
    });
    expect((await sendManaged('GET', at(name, child.digest))).status).toBe(200);

    await execute(`DELETE FROM manifest_blob`);
    await execute(`DELETE FROM uploaded_blob`);
    expect(errorOf(await sendManaged('GET', at(name, manifest.digest)))).toEqual([
      404,
      'not_found',
    ]);
    expect(errorOf(await sendManaged('GET', at(name, NO_DIGEST)))).toEqual([404, 'not_found']);
    expect(await mistakeOf('GET', at(name, 'latest'))).toMatch(/^digest/);
    expect(await mistakeOf('GET', at(name, 'sha256:xyz', '/labels'))).toMatch(/^digest/);
  });

  it('says how often it was pulled', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    await execute(
      `INSERT INTO manifest_pull_statistics (manifest_id, pull_count, last_pull_ms)
        SELECT id, 2, 1000 FROM manifest`,
    );
    expect((await sendManaged('GET', at(name, digest, '/pull_statistics'))).json).toEqual({
      manifest_digest: digest,
      manifest_pull_count: 2,
      last_manifest_pull_date: '1970-01-01T00:00:01.000Z',
    });
    await send('DELETE', `/v2/${name}/manifests/v1`);
    const gone = at(name, digest, '/pull_statistics');
    expect(errorOf(await sendManaged('GET', gone))).toEqual([404, 'not_found']);
  });
});

describe('labels by HTTP', () => {
  it('are given, listed, read and taken away', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1', { annotations: { 'com.acme.team': 'web' } });
    const path = at(name, digest, '/labels');
    const json = { key: 'stage', value: '{"a":1}', media_type: null };
    const made = await sendManaged('POST', path, { json });
    const { label } = made.json as { label: { id: string } };
    expect([made.status, made.headers.get('Location'), label]).toEqual([
      201,
      `/api/v1${path}/${label.id}`,
      {
        id: label.id,
        key: 'stage',
        value: '{"a":1}',
        source_type: 'api',
        media_type: 'application/json',
      },
    ]);
    expect((await sendManaged('GET', `${path}/${label.id}`)).json).toEqual(label);
    const { labels } = (await sendManaged('GET', path)).json as { labels: { id: string }[] };
    expect(labels).toEqual([
      expect.objectContaining({ key: 'com.acme.team', source_type: 'manifest' }),
      label,
    ]);
    const filtered = await sendManaged('GET', `${path}?filter=st`);
    expect(filtered.json).toEqual({ labels: [label] });
    expect(await mistakeOf('GET', `${path}?filter=`)).toMatch(/^filter/);

    expect((await sendManaged('DELETE', `${path}/${label.id}`)).status).toBe(204);
    expect(errorOf(await sendManaged('DELETE', `${path}/${label.id}`))).toEqual([404, 'not_found']);
    expect(errorOf(await sendManaged('GET', `${path}/${label.id}`))).toEqual([404, 'not_found']);
    expect(await mistakeOf('DELETE', `${path}/${labels[0]?.id}`)).toContain('com.acme.team');
    expect(await mistakeOf('GET', `${path}/1`)).toMatch(/^label/);
    // A label of another manifest is none of this one.
    const other = await pushImage(name, 'v2');
    const elsewhere = `${at(name, other.digest, '/labels')}/${labels[0]?.id}`;
    expect(errorOf(await sendManaged('GET', elsewhere))).toEqual([404, 'not_found']);
  });

  it('are refused with the field that is wrong, and nothing is changed', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = at(name, digest, '/labels');
    const good = { key: 'stage', value: 'test', media_type: 'text/plain' };
    const post = async (json: unknown) => mistakeOf('POST', path, { json });
    expect(await post({ key: 'stage', value: 'test' })).toMatch(/^media_type/);
    expect(await post({ ...good, media_type: 'text/html' })).toMatch(/^media_type/);
    expect(await post({ ...good, value: 1 })).toMatch(/^value/);
    expect(await post({ ...good, value: 'ä'.repeat(32_769) })).toMatch(/^value/);
    expect(await post({ ...good, colour: 'red' })).toMatch(/colour/);
    for (const key of ['', 'Stage', 'a..b', '-a', 'a'.repeat(256)]) {
      expect(await post({ ...good, key })).toMatch(/key/);
    }
    for (const key of ['quay.immutable', 'quay.expires-after', 'org.opencontainers.image.title']) {
      expect(await post({ ...good, key })).toMatch(/^key: .* is reserved/);
    }
    const via = await isolateWith({ RESERVED_LABEL_PREFIXES: 'com.acme.,io.acme.' });
    const reserved = { ...good, key: 'io.acme.x' };
    expect(await mistakeOf('POST', path, { json: reserved, via })).toMatch(/'io\.acme\.'/);

    const reader = await anAccount('acme+ci');
    await giveRight(reader, await firstRepositoryId(), 'read');
    const [row] = await select(`SELECT count(*) AS labels FROM manifest_label`);
    expect(row?.['labels']).toBe(0);
    const made = await sendManaged('POST', path, { json: good });
    const { label } = made.json as { label: { id: string } };
    expect(errorOf(await sendManaged('POST', path, { json: good, ...as(reader) }))[0]).toBe(403);
    const one = `${path}/${label.id}`;
    expect(errorOf(await sendManaged('DELETE', one, as(reader)))[0]).toBe(403);
    expect((await sendManaged('GET', path, as(reader))).status).toBe(200);
    await execute('UPDATE repository SET state = 1');
    expect(errorOf(await sendManaged('DELETE', one))).toEqual([503, 'read_only']);
    const refused = await sendManaged('POST', path, { json: good });
    expect([errorOf(refused), messageOf(refused)]).toEqual([
      [503, 'read_only'],
      expect.stringContaining(name),
    ]);
    expect((await sendManaged('GET', one)).json).toEqual(label);
  });
});
