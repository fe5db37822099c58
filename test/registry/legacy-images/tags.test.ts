import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { DAY_MS } from '../../support/clock.ts';
import { pushTagged } from '../../support/content.ts';
import { anIndexOf, openImageStage, planImage } from '../../support/images.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute } from '../../support/stage.ts';

const ID = /^[0-9a-f]{64}$/;
const step = (text: string) => ({ created_by: text });

/** A list of one image, for one platform. */
const listOf = (child: ParsedManifest, architecture: string): Promise<ParsedManifest> =>
  anIndexOf([[child, { architecture, os: 'linux' }]]);

async function openStage() {
  const stage = await openImageStage();
  const { repository } = stage;
  return {
    ...stage,
    tag: (tagName: string, manifest: ParsedManifest) =>
      pushTagged(stage, repository, { tagName, manifest }),
  };
}

describe('the legacy images of tags', () => {
  it('scenario 38 (blobs): have one id by the map, by the tag, and by themselves', async ({
    expect,
  }) => {
    const { registry, repository, tag } = await openStage();
    const image = await planImage(repository, { layers: 2, history: [step('a'), step('b')] });
    const docker = await planImage(repository, { format: 'docker', history: [step('c')] });
    await tag('oci', image);
    await tag('docker', docker);
    await tag('again', docker);
    await tag('list', await listOf(docker, 'amd64'));
    await tag('bare', await listOf(image, 'arm64'));
    await tag('remote', await planImage(repository, { history: [step('d')], remote: [0] }));
    await tag('artifact', await planImage(repository, { configMediaType: 'a/b' }));
    await tag('empty', await planImage(repository, { layers: 0 }));

    const map = await registry.getLegacyTagsMap(repository);
    const names = ['again', 'artifact', 'bare', 'docker', 'empty', 'list', 'oci', 'remote'];
    expect([...map.keys()]).toEqual(names);
    const withImage = [];
    for (const [name, id] of map) {
      expect(id).toMatch(ID);
      const ofTag = await registry.getTagLegacyImageId(repository, name);
      const legacyImage = await registry.getLegacyImage(repository, id);
      expect(ofTag, name).toBe(legacyImage === null ? null : id);
      expect(legacyImage?.dockerImageId, name).toBe(ofTag ?? undefined);
      withImage.push(...(legacyImage === null ? [] : [name]));
    }
    expect(withImage).toEqual(['again', 'docker', 'list', 'oci']);
    expect(map.get('again')).toBe(map.get('docker'));
    // A list has an id of its own, though it shows the layers of its image.
    expect(map.get('list')).not.toBe(map.get('docker'));
    expect(new Set(map.values()).size).toBe(names.length - 1);
  });

  it('are those of tags that are alive and visible, in their own repository', async ({
    expect,
  }) => {
    const { registry, repository, clock, tag, push } = await openStage();
    const image = await planImage(repository, { history: [step('a')] });
    const ending = await planImage(repository, {
      history: [step('b')],
      config: { config: { Labels: { 'quay.expires-after': '1d' } } },
    });
    await tag('kept', image);
    await tag('deleted', image);
    await tag('ending', ending);
    await push(await planImage(repository, { history: [step('c')] }));
    await registry.deleteTag(repository, 'deleted');
    expect([...(await registry.getLegacyTagsMap(repository)).keys()]).toEqual(['ending', 'kept']);
    clock.advance(DAY_MS);
    expect([...(await registry.getLegacyTagsMap(repository)).keys()]).toEqual(['kept']);
    const idOf = (name: string) => registry.getTagLegacyImageId(repository, name);
    expect(await idOf('kept')).toMatch(ID);
    for (const name of ['deleted', 'ending', 'never', '']) {
      expect(await idOf(name), name).toBeNull();
    }
    const { repository: other } = await openImageStage();
    expect(await registry.getTagLegacyImageId(other, 'kept')).toBeNull();
    expect(await registry.getLegacyTagsMap(other)).toEqual(new Map());
  });

  it('are none where the image is broken', async ({ expect }) => {
    const { registry, repository, tag } = await openStage();
    const image = await planImage(repository, { history: [step('a')] });
    await tag('v1', image);
    await execute('UPDATE blob SET size_bytes = 1 WHERE digest = ?', image.config.digest);
    expect(await registry.getTagLegacyImageId(repository, 'v1')).toBeNull();
    expect((await registry.getLegacyTagsMap(repository)).size).toBe(1);
  });

  it('are mapped page by page, at two rows a tag', async ({ expect }) => {
    const { registry, repository, tag } = await openStage();
    const { manifest } = await tag('a', await planImage(repository, { history: [step('a')] }));
    const fill = async (from: number, to: number) => {
      await env.DB.prepare(
        `WITH RECURSIVE counted(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?2)
        INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
        SELECT ?3, printf('x%06d', n), ?4, 1000, 1 FROM counted`,
      )
        .bind(from, to, repository.id, manifest.id)
        .run();
    };
    const expected = await registry.getTagLegacyImageId(repository, 'a');
    for (const [from, to, pages] of [
      [1, 998, 1],
      [999, 999, 2],
      [1000, 2500, 3],
    ] as const) {
      await fill(from, to);
      const { registry: counted, meter } = openTestRegistry();
      const map = await counted.getLegacyTagsMap(repository);
      expect(map.size).toBe(to + 1);
      expect(new Set(map.values())).toEqual(new Set([expected]));
      expect(meter.usage).toMatchObject({ d1RoundTrips: pages, d1RowsWritten: 0, r2Reads: 0 });
      expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(2 * map.size + pages);
    }
  });

  it('cost two round trips and the config, three if the tag is of a list', async ({ expect }) => {
    const { repository, tag } = await openStage();
    const image = await planImage(repository, { history: [step('a')] });
    await tag('image', image);
    await tag('list', await listOf(image, 'amd64'));
    for (const [name, roundTrips] of [
      ['image', 2],
      ['list', 3],
      ['never', 1],
    ] as const) {
      const { registry, meter } = openTestRegistry();
      await registry.getTagLegacyImageId(repository, name);
      const { d1RoundTrips, d1RowsRead, r2Reads } = meter.usage;
      expect([d1RoundTrips, r2Reads]).toEqual([roundTrips, roundTrips > 1 ? 1 : 0]);
      expect(d1RowsRead).toBeLessThanOrEqual(10);
    }
  });

  it('are found though a replica does not have the tag yet', async ({ expect }) => {
    const { repository, tag } = await openStage();
    const replica = await openLaggingReplica();
    await tag('v1', await planImage(repository, { history: [step('a')] }));
    const { bindings } = replica;
    const { registry } = openTestRegistry({ bindings, readConsistency: 'replica' });
    expect(await registry.getTagLegacyImageId(repository, 'v1')).toMatch(ID);
    expect((await registry.getLegacyTagsMap(repository)).size).toBe(1);
  });
});
