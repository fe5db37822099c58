import { describe, it } from 'vitest';

import { IMPORT_CHUNK_BYTES } from '../../../src/model/import-limits.ts';
import { uniqueBytes } from '../../support/content.ts';
import { openImportStage, SOURCE } from '../../support/imports.ts';
import { aRepository } from '../../support/registry.ts';
import { execute, select, storeBlob } from '../../support/stage.ts';

const LOGIN = { username: 'ada-the-user', password: 'correct-horse' };

describe('an import', () => {
  it('brings an index with all its images, byte for byte', async ({ expect }) => {
    const { source, repository, registry, run, tagged } = await openImportStage();
    const { index, images } = await source.addTwoArchitectures('v1');
    expect(await run()).toMatchObject({ state: 'done', error: null });
    expect(await tagged('v1')).toBe(index.digest);
    for (const { digest, bytes } of [index, ...images]) {
      const stored = await registry.lookupManifestByDigest(repository, digest, {
        allowHidden: true,
      });
      expect(stored?.bytes).toEqual(bytes);
    }
    for (const digest of source.blobs.keys()) {
      expect(await registry.getRepoBlobByDigest(repository, digest)).not.toBeNull();
    }
  });

  it('tells how many bytes it has brought of how many', async ({ expect }) => {
    const { source, run } = await openImportStage();
    const image = await source.addImage([uniqueBytes(900)], 'v1');
    const bytes =
      image.bytes.byteLength +
      [...source.blobs.values()].reduce((sum, blob) => sum + blob.length, 0);
    expect(await run()).toMatchObject({ bytesDone: bytes, bytesTotal: bytes });
  });

  it('fetches a blob in chunks, each where the one before ended', async ({ expect }) => {
    const { source, run } = await openImportStage();
    const layer = new Uint8Array(IMPORT_CHUNK_BYTES + 100);
    crypto.getRandomValues(layer.subarray(0, 1000));
    await source.addImage([layer], 'v1');
    expect(await run()).toMatchObject({ state: 'done' });
    const ranges = source.asked.flatMap(({ range }) => range ?? []);
    expect(ranges).toContain(`bytes=0-${IMPORT_CHUNK_BYTES - 1}`);
    expect(ranges).toContain(`bytes=${IMPORT_CHUNK_BYTES}-${IMPORT_CHUNK_BYTES + 99}`);
  });

  it('leaves what the repository has, and fetches what only another one has', async ({
    expect,
  }) => {
    const { source, repository, run, ...world } = await openImportStage();
    const here = uniqueBytes(500);
    const elsewhere = uniqueBytes(600);
    await storeBlob(repository, here);
    const other = await storeBlob(await aRepository(world), elsewhere);
    await source.addImage([here, elsewhere], 'v1');
    await run();
    const fetched = source.asked.filter(({ url }) => url.pathname.includes('/blobs/'));
    const known = fetched.filter(({ url }) => url.pathname.endsWith(other.digest));
    expect([fetched.length, known.length]).toEqual([2, 1]);
  });

  it('does not give a blob to who names only its digest', async ({ expect }) => {
    const { source, repository, registry, run, ...world } = await openImportStage();
    const secret = uniqueBytes(600);
    const other = await storeBlob(await aRepository(world), secret);
    await source.addImage([secret], 'v1');
    source.blobs.delete(other.digest);
    expect(await run()).toMatchObject({ state: 'failed' });
    expect(await registry.getRepoBlobByDigest(repository, other.digest)).toBeNull();
  });

  it('sets other tags, and copies several under their own names', async ({ expect }) => {
    const { source, run, tagged } = await openImportStage();
    const image = await source.addImage([uniqueBytes()], 'v1', 'v2');
    const other = await source.addImage([uniqueBytes()], 'v3');
    await run(`${SOURCE}:v1`, { tags: ['a', 'b'] });
    await run(`${SOURCE}@${other.digest}`, { tags: ['c'] });
    await run(SOURCE, { tags: ['v1', 'v2', 'v3'] });
    expect(await Promise.all(['a', 'b', 'c', 'v1', 'v2', 'v3'].map((tag) => tagged(tag)))).toEqual([
      image.digest,
      image.digest,
      other.digest,
      image.digest,
      image.digest,
      other.digest,
    ]);
  });

  it('logs in where the source wants it, and keeps no secret once it has ended', async ({
    expect,
  }) => {
    const { source, run } = await openImportStage();
    source.login = LOGIN;
    await source.addImage([uniqueBytes()], 'v1');
    expect(await run(undefined, { credentials: LOGIN })).toMatchObject({ state: 'done' });
    expect(await select('SELECT credentials FROM repository_import')).toEqual([
      { credentials: null },
    ]);
  });

  it('has its credentials encrypted while it lasts', async ({ expect }) => {
    const { operations, repository } = await openImportStage();
    await operations.startImport(repository, {
      source: `${SOURCE}:v1`,
      tags: null,
      credentials: LOGIN,
    });
    const rows = JSON.stringify(await select('SELECT * FROM repository_import'));
    expect(rows).toMatch(/"credentials":"[A-Za-z0-9+/=]{60,}"/);
    expect(rows).not.toMatch(/ada-the-user|correct-horse/);
  });

  it('is never given another one’s credentials', async ({ expect }) => {
    const { source, operations, housekeeping, repository } = await openImportStage();
    source.login = LOGIN;
    await source.addImage([uniqueBytes()], 'v1');
    const request = { source: `${SOURCE}:v1`, tags: null };
    await operations.startImport(repository, { ...request, credentials: LOGIN });
    const thief = await operations.startImport(repository, { ...request, credentials: null });
    await execute(
      `UPDATE repository_import SET due_ms = 9e15, credentials =
        (SELECT credentials FROM repository_import WHERE credentials IS NOT NULL)`,
    );
    await execute(`UPDATE repository_import SET due_ms = 0 WHERE uuid = '${thief?.uuid}'`);
    await housekeeping.continueImports();
    expect(await operations.getImport(repository, thief?.uuid ?? '')).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('LEGACY_IMAGE_KEY') as string,
    });
  });
});
