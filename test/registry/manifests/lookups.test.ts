import { describe, it } from 'vitest';

import { MINUTE_MS, SECOND_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage, select, type Stage } from '../../support/stage.ts';

/** By which of the ways a manifest is found. */
async function waysTo(
  { registry, repository }: Pick<Stage, 'registry' | 'repository'>,
  digest: string,
): Promise<readonly string[]> {
  const ways = { visible: {}, hidden: { allowHidden: true }, dead: { allowDead: true } };
  const found: string[] = [];
  for (const [way, options] of Object.entries(ways)) {
    if ((await registry.lookupManifestByDigest(repository, digest, options)) !== null) {
      found.push(way);
    }
  }
  return found;
}

const hiddenTags = () =>
  select('SELECT * FROM tag WHERE hidden = 1 AND is_current = 1 ORDER BY id');

describe('a manifest by its digest', () => {
  it('scenario 36 (tags): with only dead tags is found only if dead ones are asked for', async ({
    expect,
  }) => {
    const stage = await openStage();
    const image = await stage.image();
    await stage.push('v1', image);
    expect(await waysTo(stage, image.digest)).toEqual(['visible', 'hidden', 'dead']);
    await stage.registry.deleteTag(stage.repository, 'v1');
    expect(await waysTo(stage, image.digest)).toEqual(['dead']);
  });

  it('scenario 37 (tags): with a temporary tag is found only if hidden ones count', async ({
    expect,
  }) => {
    const stage = await openStage();
    const image = await stage.image();
    await stage.registry.createManifestWithTempTag(stage.repository, image, 60);
    expect(await waysTo(stage, image.digest)).toEqual(['hidden', 'dead']);
    stage.clock.advance(MINUTE_MS);
    expect(await waysTo(stage, image.digest)).toEqual(['dead']);
  });

  it('scenario 38 (tags): is held by its index, and by what holds that', async ({ expect }) => {
    const stage = await openStage();
    const child = await stage.image();
    await stage.push('child', child);
    const index = await anIndex([child]);
    await stage.registry.createManifestWithTempTag(stage.repository, index, 3600);
    const outer = await anIndex([index]);
    await stage.registry.deleteTag(stage.repository, 'child');
    expect(await waysTo(stage, child.digest)).toEqual(['hidden', 'dead']);
    await stage.push('outer', outer);
    expect(await waysTo(stage, child.digest)).toEqual(['visible', 'hidden', 'dead']);
    expect(await waysTo(stage, index.digest)).toEqual(['visible', 'hidden', 'dead']);
    await stage.registry.deleteTag(stage.repository, 'outer');
    stage.clock.advance(60 * MINUTE_MS);
    expect(await waysTo(stage, child.digest)).toEqual(['dead']);
  });

  it('is not found in another repository, nor by what is no digest', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    await stage.push('v1', image);
    const other = await openStage();
    expect(await waysTo(other, image.digest)).toEqual([]);
    expect(await waysTo(stage, 'v1')).toEqual([]);
    await expect(
      stage.registry.lookupManifestByDigest(stage.repository, 'v1', { raiseOnError: true }),
    ).rejects.toMatchObject({ code: 'ManifestNotFound' });
  });

  it('I13: that must stay available is kept for 300 seconds, if it was found', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '10s' } });
    await stage.push('v1', image);
    const keep = (options: object) =>
      registry.lookupManifestByDigest(repository, image.digest, {
        requireAvailable: true,
        ...options,
      });
    expect(await keep({})).not.toBeNull();
    expect(await hiddenTags()).toMatchObject([{ lifetime_end_ms: START_MS + 300 * SECOND_MS }]);
    stage.clock.advance(10 * SECOND_MS);
    // The visible tag is over; the temporary one does not bring it back.
    expect(await keep({})).toBeNull();
    expect(await hiddenTags()).toHaveLength(1);
    expect(await keep({ allowHidden: true })).not.toBeNull();
    expect(await hiddenTags()).toHaveLength(2);
    stage.clock.advance(600 * SECOND_MS);
    expect(await keep({ allowHidden: true })).toBeNull();
    expect(await hiddenTags()).toHaveLength(2);
    expect(await keep({ allowDead: true })).not.toBeNull();
    expect(await hiddenTags()).toHaveLength(3);
    expect(await findViolations()).toEqual([]);
  });

  it('that must stay available gets no temporary tag while another tag holds it', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image();
    await stage.push('v1', image);
    await registry.lookupManifestByDigest(repository, image.digest, { requireAvailable: true });
    expect(await hiddenTags()).toEqual([]);
  });
});

describe('a manifest by its tag', () => {
  it('is given for a tag that is over too, with its exact bytes', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    for (const padding of [0, 1_000_001]) {
      const image = await stage.image({ padding });
      const { tag } = await stage.push('v1', image);
      await registry.deleteTag(repository, 'v1');
      const found = await registry.getManifestForTag(tag);
      expect(found?.bytes).toEqual(image.bytes);
      expect(found).toMatchObject(tag.manifest);
    }
  });

  it('is given for its tag for as long as it is there itself', async ({ expect }) => {
    const { registry, ...stage } = await openStage();
    const image = await stage.image();
    const { tag } = await stage.push('v1', image);
    await execute('DELETE FROM tag WHERE id = ?', tag.id);
    expect((await registry.getManifestForTag(tag))?.bytes).toEqual(image.bytes);
    await execute('DELETE FROM manifest WHERE id = ?', tag.manifest.id);
    expect(await registry.getManifestForTag(tag)).toBeNull();
  });
});

describe('a temporary tag', () => {
  it('scenario 16 (tags): is made only where nothing holds the manifest for as long', async ({
    expect,
  }) => {
    const { registry, repository, clock, ...stage } = await openStage();
    const image = await stage.image();
    await stage.push('v1', image);
    const keep = (sec: number) => registry.createManifestWithTempTag(repository, image, sec);
    await keep(60);
    expect(await hiddenTags()).toEqual([]);
    await registry.deleteTag(repository, 'v1');
    clock.advance(5);
    await keep(60);
    const first = await hiddenTags();
    expect(first).toMatchObject([
      {
        name: expect.stringMatching(/^\$temp-[0-9a-f-]{36}$/) as string,
        lifetime_start_ms: START_MS + 5,
        lifetime_end_ms: START_MS + 5 + 60_000,
        reversion: 0,
        immutable: 0,
      },
    ]);
    await keep(30);
    expect(await hiddenTags()).toEqual(first);
    await keep(61);
    expect(await hiddenTags()).toHaveLength(2);
    await expect(keep(0)).rejects.toThrow(RangeError);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 49 (tags): of a referrer is a pin, also if the referrer was there before', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const subject = await stage.image();
    const byDigest = await stage.image({ subject });
    const found = await registry.createManifestWithTempTag(repository, byDigest, 60);
    expect(found?.subjectDigest).toBe(subject.digest);
    expect(await hiddenTags()).toMatchObject([{ lifetime_end_ms: null }]);

    const byTag = await stage.image({ subject });
    await stage.push('referrer', byTag);
    expect(await hiddenTags()).toHaveLength(1);
    await registry.deleteTag(repository, 'referrer');
    await registry.createManifestWithTempTag(repository, byTag, 60);
    await registry.createManifestWithTempTag(repository, byTag, 60);
    expect(await hiddenTags()).toHaveLength(2);
    expect(await waysTo({ registry, repository }, byTag.digest)).toEqual(['hidden', 'dead']);
  });

  it('gives way to a pin where a referrer has a timed one', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const referrer = await stage.image({ subject: await stage.image() });
    await registry.createManifestWithTempTag(repository, referrer, 60);
    await execute('UPDATE tag SET lifetime_end_ms = lifetime_start_ms + 60000');
    await registry.createManifestWithTempTag(repository, referrer, 60);
    expect((await hiddenTags()).map((row) => row['lifetime_end_ms'])).toEqual([
      START_MS + 60_000,
      null,
    ]);
  });
});

describe('deleting by digest', () => {
  it('scenario 12 (tags): ends the tags that point to the manifest now', async ({ expect }) => {
    const { registry, ...stage } = await openStage();
    const [m1, m2] = [await stage.image(), await stage.image()];
    const { manifest: first } = await stage.push('latest', m1);
    const { manifest: second } = await stage.push('latest', m2);
    await stage.push('latest', m1);
    await stage.push('latest', m2);
    await stage.push('another1', m1);
    await stage.push('another2', m2);
    const names = async (manifest: typeof first) =>
      (await registry.deleteTagsForManifest(manifest)).tags.map(({ name }) => name as string);
    expect(await names(first)).toEqual(['another1']);
    expect(await stage.names()).toEqual(['another2', 'latest']);
    expect(await names(second)).toEqual(['another2', 'latest']);
    expect(await stage.names()).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 26 (tags): gives all tags of the manifest back by name', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const image = await stage.image();
    const { tag: v2, manifest } = await stage.push('v2', image);
    const { tag: v1 } = await stage.push('v1', image);
    expect(await registry.deleteTagsForManifest(manifest)).toEqual({
      tags: [v1, v2].map(({ id, name }) => ({ id, name })),
      hiddenEnded: 0,
      stillAvailable: false,
    });
    expect(await registry.deleteTagsForManifest(manifest)).toMatchObject({ tags: [] });
    expect(await registry.getRepoTag(repository, 'v1')).toBeNull();
  });

  it('ends temporary tags and pins too, and says what an index still holds', async ({ expect }) => {
    const { registry, repository, ...stage } = await openStage();
    const subject = await stage.image();
    const referrer = await stage.image({ subject });
    const manifest = await registry.createManifestWithTempTag(repository, referrer, 60);
    if (manifest === null) {
      throw new Error('the referrer was stored');
    }
    await stage.push('index', await anIndex([referrer]));
    expect(await registry.deleteTagsForManifest(manifest)).toEqual({
      tags: [],
      hiddenEnded: 1,
      stillAvailable: true,
    });
    await registry.deleteTag(repository, 'index');
    expect(await waysTo({ registry, repository }, referrer.digest)).toEqual(['dead']);
    expect(await registry.deleteTagsForManifest(manifest)).toMatchObject({ hiddenEnded: 0 });
    expect(await findViolations()).toEqual([]);
  });
});

describe('deleting the tag of an index', () => {
  it.for([true, false])(
    'scenario 11 (tags): ends the temporary tags of its children only if that is set (%s)',
    async (resetChildManifestExpiration, { expect }) => {
      const { registry, repository, ...stage } = await openStage({
        settings: { resetChildManifestExpiration },
      });
      const children = [await stage.image(), await stage.image()];
      const pinned = await stage.image({ subject: await stage.image() });
      for (const child of [...children, pinned]) {
        await registry.createManifestWithTempTag(repository, child, 3600);
      }
      const index = await anIndex([...children, pinned]);
      const { manifest } = await stage.push('v1', index);
      await stage.push('v2', index);
      stage.clock.advance(1000);
      const timed = () =>
        select(
          `SELECT lifetime_end_ms AS end FROM tag WHERE hidden = 1
          AND lifetime_end_ms IS NOT NULL AND lifetime_end_ms <= ?`,
          stage.clock.nowMs(),
        );
      const ended = resetChildManifestExpiration ? 2 : 0;
      await registry.deleteTag(repository, 'v1');
      expect(await timed()).toHaveLength(ended);
      expect(await hiddenTags()).toHaveLength(3 - ended);
      await registry.deleteTagsForManifest(manifest);
      expect(await hiddenTags()).toHaveLength(3 - ended);
      expect(await findViolations()).toEqual([]);
    },
  );
});
