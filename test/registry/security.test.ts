import { describe, it } from 'vitest';

import type { LegacyImage } from '../../src/model/datatypes.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { aRepository } from '../support/registry.ts';
import { execute, openStage, select } from '../support/stage.ts';

const VULNERABILITY_FOUND = 'vulnerability_found';

/** Somebody wants to hear of an event in the repository. */
async function notify(
  { id }: RepositoryRef,
  { event = VULNERABILITY_FOUND, config = '{}' }: { event?: string; config?: string } = {},
): Promise<void> {
  await execute(
    `INSERT INTO repository_notification
      (uuid, repository_id, event, method, config_json, event_config_json)
    VALUES (?, ?, ?, 'webhook', '{}', ?)`,
    crypto.randomUUID(),
    id,
    event,
    config,
  );
}

const severity = (priority: unknown) => ({
  config: JSON.stringify({ vulnerability: { priority } }),
});

async function indexed(): Promise<readonly number[]> {
  const rows = await select('SELECT manifest_id FROM manifest_security_status ORDER BY 1');
  return rows.map((row) => Number(row['manifest_id']));
}

async function markIndexed(manifestId: number, repositoryId: number): Promise<void> {
  await execute(
    `INSERT INTO manifest_security_status
      (manifest_id, repository_id, index_status, last_indexed_ms, indexer_hash, indexer_version)
    VALUES (?, ?, 2, 0, 'hash', 4)`,
    manifestId,
    repositoryId,
  );
}

describe('resetSecurityStatus', () => {
  it('has one manifest indexed again, also if it is due already', async ({ expect }) => {
    const stage = await openStage();
    const { manifest: one } = await stage.push('one', await stage.image());
    const { manifest: other } = await stage.push('other', await stage.image());
    await markIndexed(one.id, stage.repository.id);
    await markIndexed(other.id, stage.repository.id);
    await stage.registry.resetSecurityStatus(one);
    expect(await indexed()).toEqual([other.id]);
    await stage.registry.resetSecurityStatus(one);
    expect(await indexed()).toEqual([other.id]);
  });

  it('of a legacy image is that of its manifest', async ({ expect }) => {
    const stage = await openStage();
    const { manifest } = await stage.push('one', await stage.image());
    await markIndexed(manifest.id, stage.repository.id);
    const image: LegacyImage = {
      dockerImageId: '0'.repeat(64),
      created: null,
      comment: null,
      command: null,
      imageSize: null,
      aggregateSize: 0,
      blobDigest: stage.layer.digest,
      blob: null,
      v1MetadataString: '{}',
      layerIndex: 0,
      manifest,
      ancestorIds: [],
      parentImageId: null,
    };
    await stage.registry.resetSecurityStatus(image);
    expect(await indexed()).toEqual([]);
  });
});

describe('findManifestsForSecNotification', () => {
  it('scenario 40 (security): finds a manifest once its repository wants to hear', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const { manifest } = await stage.push('latest', await stage.image());
    const find = () => registry.findManifestsForSecNotification(manifest.digest);
    expect(await find()).toEqual([]);
    await notify(repository, { event: 'repo_push' });
    expect(await find()).toEqual([]);
    await notify(repository);
    const { bytes: _, ...info } = manifest;
    expect(await find()).toEqual([info]);
  });

  it('gives each manifest once, in any live repository, tagged or not, by id', async ({
    expect,
  }) => {
    const { registry, ...stage } = await openStage();
    const { manifest } = await stage.push('latest', await stage.image());
    const repositories: RepositoryRef[] = [stage.repository];
    for (let count = 0; count < 3; count += 1) {
      const copy = await aRepository(stage);
      repositories.push(copy);
      await execute(
        `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, bytes, created_ms)
        SELECT ?, digest, media_type, size_bytes, bytes, created_ms FROM manifest WHERE id = ?`,
        copy.id,
        manifest.id,
      );
    }
    const [first, second, silent, gone] = repositories.map(({ id }) => id);
    for (const repository of repositories.filter(({ id }) => id !== silent)) {
      await notify(repository);
      await notify(repository);
    }
    await execute('UPDATE repository SET state = 3 WHERE id = ?', gone);
    await registry.deleteTagsForManifest(manifest);
    const before = stage.meter.usage.d1RowsRead;
    const found = await registry.findManifestsForSecNotification(manifest.digest);
    expect(found.map(({ repositoryId }) => repositoryId)).toEqual([first, second]);
    expect(stage.meter.usage.d1RowsRead - before).toBeLessThanOrEqual(4 * 3);
    expect(await registry.findManifestsForSecNotification('sha256:none')).toEqual([]);
  });
});

describe('lookupSecscanNotificationSeverities', () => {
  it('scenario 41 (security): gives those of each notification, and none for none', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const other = await aRepository(stage);
    const lookup = () => registry.lookupSecscanNotificationSeverities(repository);
    expect(await lookup()).toEqual([]);
    await notify(repository, severity('Critical'));
    await notify(other, severity('High'));
    await notify(repository, severity('Low'));
    await notify(repository, { ...severity('Medium'), event: 'repo_push' });
    expect(await lookup()).toEqual(['Critical', 'Low']);
    await notify(repository, severity('Critical'));
    const before = stage.meter.usage.d1RowsRead;
    expect(await lookup()).toEqual(['Critical', 'Low', 'Critical']);
    expect(stage.meter.usage.d1RowsRead - before).toBeLessThanOrEqual(1 + 2 * 3);
  });

  it('leaves out what names none, and what is broken', async ({ expect }) => {
    const { registry, repository } = await openStage();
    for (const config of ['', '{', 'null', '[]', '7', '{}', '{"vulnerability":null}']) {
      await notify(repository, { config });
    }
    for (const priority of ['', null, 0, false, ['High']]) {
      await notify(repository, severity(priority));
    }
    await notify(repository, severity('Negligible'));
    expect(await registry.lookupSecscanNotificationSeverities(repository)).toEqual(['Negligible']);
  });

  it('gives null only where there is no repository', async ({ expect }) => {
    const { registry, repository } = await openStage();
    await notify(repository, severity('Low'));
    const unknown = { ...repository, id: repository.id + 1 };
    expect(await registry.lookupSecscanNotificationSeverities(unknown)).toBeNull();
    await execute('UPDATE repository SET state = 3 WHERE id = ?', repository.id);
    expect(await registry.lookupSecscanNotificationSeverities(repository)).toBeNull();
  });
});
