import { describe, it } from 'vitest';

import type { Tag } from '../../../src/model/datatypes.ts';
import {
  IMPORT_CHUNK_BYTES,
  IMPORT_CLAIM_MS,
  IMPORT_KEPT_MS,
  IMPORT_LIFETIME_MS_MAX,
  IMPORTS_OPEN_PER_REPOSITORY_MAX,
} from '../../../src/model/import-limits.ts';
import { createHousekeeping } from '../../../src/registry/index.ts';
import { uniqueBytes } from '../../support/content.ts';
import { openImportStage, SOURCE } from '../../support/imports.ts';
import { crashEverywhere, interleaveAtRandom } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { limitsOf } from '../../support/quota.ts';
import { Random } from '../../support/random.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { saveWorld } from '../../support/saved-world.ts';
import { execute, select } from '../../support/stage.ts';

type Stage = Awaited<ReturnType<typeof openImportStage>>;

/** An import of two architectures that nobody has gone on with yet. */
async function begun(stage: Stage) {
  const { index } = await stage.source.addTwoArchitectures('v1');
  stage.source.instead = () => new Response(null, { status: 503 });
  const waiting = await stage.run();
  stage.source.instead = () => null;
  stage.clock.advance(60_000);
  return { index, waiting };
}

describe('an import whose run dies', () => {
  it('at any call to a store is gone on with to the same end', async ({ expect }) => {
    const empty = await saveWorld();
    const points = await crashEverywhere(
      async () => {
        await empty.restore();
        const stage = await openImportStage();
        const { index, waiting } = await begun(stage);
        return {
          operation: (gate) =>
            openTestRegistry({
              gate,
              clock: stage.clock,
              fetch: stage.source.fetch,
            }).housekeeping.continueImports(),
          check: async (point) => {
            expect([point, await findViolations()]).toEqual([point, []]);
            const ended = await stage.later(waiting, IMPORT_CLAIM_MS);
            // A chunk that was under way is held for as long; then it is waited for.
            const last = ended.state === 'done' ? ended : await stage.later(waiting, 3_600_000);
            expect([point, last.state, last.error]).toEqual([point, 'done', null]);
            expect(await stage.tagged('v1')).toBe(index.digest);
            expect([point, await findViolations()]).toEqual([point, []]);
          },
        };
      },
      { oneAfterTheOther: true },
    );
    expect(points.length).toBeGreaterThan(50);
  }, 600_000);

  it('loses no chunk that was recorded', async ({ expect }) => {
    const { source, run, later } = await openImportStage();
    const layer = new Uint8Array(IMPORT_CHUNK_BYTES + 10).fill(1);
    await source.addImage([layer], 'v1');
    let isDown = false;
    source.instead = ({ range }) => {
      isDown ||= range?.startsWith(`bytes=${IMPORT_CHUNK_BYTES}-`) ?? false;
      return isDown ? new Response(null, { status: 503 }) : null;
    };
    const waiting = await run();
    expect(waiting).toMatchObject({ state: 'waiting' });
    expect(waiting.bytesDone).toBeGreaterThanOrEqual(IMPORT_CHUNK_BYTES);
    source.instead = () => null;
    const asked = source.asked.length;
    expect(await later(waiting, 60_000)).toMatchObject({ state: 'done' });
    const ranges = source.asked.slice(asked).flatMap(({ range }) => range ?? []);
    expect(ranges).not.toContain(`bytes=0-${IMPORT_CHUNK_BYTES - 1}`);
  });
});

type Racer = Parameters<typeof interleaveAtRandom>[0][number];

describe('two runs at once', () => {
  it('bring what one brings, in whatever order their calls come', async ({ expect }) => {
    for (let seed = 1; seed <= 8; seed += 1) {
      await execute('DELETE FROM repository_import');
      const stage = await openImportStage();
      const { index, waiting } = await begun(stage);
      const racers = [1, 2].map((): Racer => (gate) => {
        const { clock, source } = stage;
        const { housekeeping } = openTestRegistry({ gate, clock, fetch: source.fetch });
        return housekeeping.continueImports();
      });
      await interleaveAtRandom(racers, { random: new Random(seed), stopsAfter: [] });
      expect(await stage.later(waiting, 60_000)).toMatchObject({ state: 'done' });
      expect(await stage.tagged('v1')).toBe(index.digest);
      expect(await findViolations()).toEqual([]);
    }
  }, 300_000);

  it('do the same work although one thinks that the other is dead', async ({ expect }) => {
    const stage = await openImportStage();
    const { index, waiting } = await begun(stage);
    let takenOver = false;
    stage.source.instead = ({ range }) => {
      if (range === null || takenOver) {
        return null;
      }
      takenOver = true;
      stage.clock.advance(IMPORT_CLAIM_MS);
      return createHousekeeping(stage.deps)
        .continueImports()
        .then(() => new Response(null, { status: 503 }));
    };
    await stage.housekeeping.continueImports();
    expect(await stage.read(waiting.uuid)).toMatchObject({ state: 'done', error: null });
    expect(await stage.tagged('v1')).toBe(index.digest);
    expect(await findViolations()).toEqual([]);
  });
});

describe('an import that is cancelled', () => {
  it('sets no tag any more, and leaves what it brought to the collector', async ({ expect }) => {
    const stage = await openImportStage();
    const { source, repository, operations, begin, read, settleDeferred } = stage;
    source.login = { username: 'ada', password: 'correct-horse' };
    await source.addTwoArchitectures('v1');
    let uuid = '';
    source.instead = ({ range }) => {
      if (range === null) {
        return null;
      }
      source.instead = () => null;
      return operations
        .cancelImport(repository, uuid)
        .then(() => new Response(null, { status: 503 }));
    };
    ({ uuid } = await begin(undefined, { credentials: source.login }));
    await settleDeferred();
    expect(await read(uuid)).toMatchObject({ state: 'cancelled', error: null });
    expect(await stage.tagged('v1')).toBeNull();
    expect(await select('SELECT credentials, claim_token FROM repository_import')).toEqual([
      { credentials: null, claim_token: null },
    ]);
    expect(await select('SELECT * FROM blob_upload')).toEqual([]);
    expect(await operations.cancelImport(repository, uuid)).toBe(false);
    expect(await findViolations()).toEqual([]);
  });

  it('asks its source for nothing more', async ({ expect }) => {
    const stage = await openImportStage();
    const { source, repository, operations, begin, settleDeferred } = stage;
    await source.addTwoArchitectures('v1');
    let uuid = '';
    source.instead = async () => {
      await operations.cancelImport(repository, uuid);
      return null;
    };
    ({ uuid } = await begin());
    await settleDeferred();
    expect(source.asked).toHaveLength(1);
    expect(await findViolations()).toEqual([]);
  });

  it('is one of its own repository', async ({ expect }) => {
    const stage = await openImportStage();
    const { waiting } = await begun(stage);
    const other = await openImportStage();
    expect(await other.operations.cancelImport(other.repository, waiting.uuid)).toBe(false);
    expect(await other.operations.getImport(other.repository, waiting.uuid)).toBeNull();
    expect(await stage.read(waiting.uuid)).toMatchObject({ state: 'waiting' });
  });
});

describe('an import', () => {
  it('moves no tag that is locked', async ({ expect }) => {
    const { source, run, tagged, repository, registry } = await openImportStage();
    const old = await source.addImage([uniqueBytes()], 'v1');
    await run();
    const tag = await registry.getRepoTag(repository, 'v1');
    await registry.changeTagImmutability(tag as Tag, true);
    await source.addImage([uniqueBytes()], 'v1');
    expect(await run()).toMatchObject({
      state: 'failed',
      error: "Cannot overwrite immutable tag 'v1'",
    });
    expect(await tagged('v1')).toBe(old.digest);
  });

  it('is refused what its namespace has no room for, before any of it is asked for', async ({
    expect,
  }) => {
    const { source, run, operations, repository } = await openImportStage();
    await operations.setQuota(repository.namespaceName, limitsOf(1000));
    await source.addImage([uniqueBytes(2000)], 'v1');
    expect(await run()).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('bytes; it holds') as string,
    });
    expect(source.asked.filter(({ range }) => range !== null)).toEqual([]);
  });

  it('brings again what went away while it lasted', async ({ expect }) => {
    const stage = await openImportStage();
    const { source, repository, operations, run, later, tagged } = stage;
    const image = await source.addImage([uniqueBytes(300)], 'v1');
    const digest = image.kind === 'image' ? image.localBlobDigests[0] : undefined;
    let manifests = 0;
    source.instead = (request) => {
      manifests += Number(request.url.pathname.includes('/manifests/'));
      if (manifests < 3 || digest === undefined) {
        return null;
      }
      source.instead = () => null;
      return operations.unlinkRepoBlob(repository, digest).then(() => source.answer(request));
    };
    const waiting = await run();
    expect(waiting).toMatchObject({
      state: 'waiting',
      error: expect.stringContaining('went away') as string,
    });
    expect(await later(waiting, 60_000)).toMatchObject({ state: 'done' });
    expect(await tagged('v1')).toBe(image.digest);
  });

  it('keeps what it has brought for as long as it may take', async ({ expect }) => {
    const { source, run, clock } = await openImportStage();
    await source.addIndex(
      [await source.addImage([uniqueBytes(100)]), await source.addImage([uniqueBytes(200)])],
      'v1',
    );
    let last = 0;
    source.instead = ({ range }) => {
      last += Number(range !== null);
      return last > 3 ? new Response(null, { status: 503 }) : null;
    };
    await run();
    const untilMs = clock.nowMs() + IMPORT_LIFETIME_MS_MAX;
    expect(await select('SELECT DISTINCT expires_ms FROM uploaded_blob')).toEqual([
      { expires_ms: untilMs },
    ]);
  });

  it('that takes two days has failed', async ({ expect }) => {
    const stage = await openImportStage();
    const { waiting } = await begun(stage);
    expect(await stage.later(waiting, IMPORT_LIFETIME_MS_MAX)).toMatchObject({ state: 'failed' });
  });

  it('into a repository that takes no pushes any more fails', async ({ expect }) => {
    const stage = await openImportStage();
    const { waiting } = await begun(stage);
    await execute('UPDATE repository SET state = 1');
    expect(await stage.later(waiting, 0)).toMatchObject({
      state: 'failed',
      error: 'the repository takes no pushes',
    });
  });

  it('of a private address that was allowed fails once it is not', async ({ expect }) => {
    const settings = { importPrivateAddresses: true };
    const stage = await openImportStage({ settings });
    stage.source.instead = () => new Response(null, { status: 503 });
    const waiting = await stage.run('http://10.0.0.1:5000/acme/app:v1');
    expect(waiting).toMatchObject({ state: 'waiting' });
    stage.clock.advance(60_000);
    const { fetch } = stage.source;
    await openTestRegistry({ clock: stage.clock, fetch }).housekeeping.continueImports();
    expect(await stage.read(waiting.uuid)).toMatchObject({ state: 'failed' });
    expect(stage.source.asked).toHaveLength(1);
  });

  it('is one of some that a repository has under way', async ({ expect }) => {
    const { source, begin, operations, repository } = await openImportStage();
    source.instead = () => new Response(null, { status: 503 });
    const first = await begin();
    for (let count = 1; count < IMPORTS_OPEN_PER_REPOSITORY_MAX; count += 1) {
      await begin();
    }
    await expect(begin()).rejects.toMatchObject({ code: 'LimitReached' });
    await operations.cancelImport(repository, first.uuid);
    await expect(begin()).resolves.toBeDefined();
  });

  it('is forgotten a week after it ended', async ({ expect }) => {
    const { source, run, clock, housekeeping, operations, repository } = await openImportStage();
    await source.addTwoArchitectures('v1');
    const { uuid } = await run();
    clock.advance(IMPORT_KEPT_MS - 1);
    expect(await housekeeping.forgetOldRecords()).toMatchObject({ imports: 0 });
    clock.advance(1);
    expect(await housekeeping.forgetOldRecords()).toMatchObject({ imports: 1 });
    expect(await operations.getImport(repository, uuid)).toBeNull();
    expect(await select('SELECT * FROM import_item')).toEqual([]);
    expect(await select('SELECT * FROM import_tag')).toEqual([]);
  });

  it('goes with its repository', async ({ expect }) => {
    const stage = await openImportStage();
    await begun(stage);
    await stage.run(`${SOURCE}:v1`, { tags: ['v2'] });
    await stage.operations.markRepositoryForDeletion(stage.repository);
    await stage.housekeeping.purgeRepositories();
    expect(await select('SELECT * FROM repository_import')).toEqual([]);
    expect(await select('SELECT * FROM import_item')).toEqual([]);
    expect(await select('SELECT * FROM repository')).toEqual([]);
  });
});
