import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { assertNoQuotaStatement } from '../../../src/storage/d1/assertions.ts';
import {
  subtractGarbageFromNamespacesStatement,
  subtractGarbageFromRepositoriesStatement,
} from '../../../src/storage/d1/collect-manifests.ts';
import {
  subtractPurgedFromNamespacesStatement,
  subtractPurgedFromRepositoriesStatement,
} from '../../../src/storage/d1/purge.ts';
import { pushQuotaStatement, uploadQuotaStatement } from '../../../src/storage/d1/quota.ts';
import {
  resizeRepairedInNamespacesStatement,
  resizeRepairedInRepositoriesStatement,
} from '../../../src/storage/d1/upload-endings.ts';
import { limitsOf } from '../../support/quota.ts';
import { execute, openStage, select } from '../../support/stage.ts';
import { anUpload, nameOf } from '../../support/uploads.ts';

/** All that a push, a collection or a purge asks for quotas; in a repository that has something. */
async function openQuestions() {
  const stage = await openStage();
  const { repository, layer, operations } = stage;
  const image = await stage.image();
  await stage.push('v1', image);
  const { uploadId } = await anUpload(stage, repository);
  await execute(`UPDATE blob_upload SET state = 'committing', claim_token = 't', claim_until_ms = 1,
    byte_count = 7`);
  const [blob] = await select('SELECT object_key FROM blob WHERE digest = ?', layer.digest);
  const [manifest] = await select('SELECT id FROM manifest');
  await execute('DELETE FROM tag');
  const repositoryId = repository.id;
  const blobDigests = JSON.stringify(image.kind === 'image' ? image.localBlobDigests : []);
  const ids = { manifestIds: JSON.stringify([manifest?.['id']]) };
  const first = { repositoryId, manifestLimit: 10 };
  const repair = {
    uploadId,
    claimToken: 't',
    digest: layer.digest,
    lostKey: String(blob?.['object_key']),
    byteCount: null,
  };
  return {
    operations,
    mark: () => execute('UPDATE repository SET state = 3'),
    questions: {
      push: pushQuotaStatement({ repositoryId, blobDigests }),
      upload: uploadQuotaStatement({ ...nameOf(repository) }),
      assertion: assertNoQuotaStatement({ repositoryId }),
      resizeNamespaces: resizeRepairedInNamespacesStatement(repair),
      resizeRepositories: resizeRepairedInRepositoriesStatement(repair),
      garbageOfRepositories: subtractGarbageFromRepositoriesStatement(ids),
      garbageOfNamespaces: subtractGarbageFromNamespacesStatement(ids),
      purgedOfRepositories: subtractPurgedFromRepositoriesStatement(first),
      purgedOfNamespaces: subtractPurgedFromNamespacesStatement(first),
    },
  };
}

type Questions = Awaited<ReturnType<typeof openQuestions>>['questions'];

/** The rows that each reads and writes; those that fail as they should are left out. */
async function costs(questions: Partial<Questions>) {
  const counted: Record<string, readonly number[]> = {};
  for (const [name, { sql, values }] of Object.entries(questions)) {
    const { meta } = await env.DB.prepare(sql)
      .bind(...values)
      .run();
    counted[name] = [meta.rows_read, meta.rows_written];
  }
  return counted;
}

describe('what is asked for quotas', () => {
  it('reads not one row of a push where nobody has one, and one of what takes', async ({
    expect,
  }) => {
    const { questions, mark } = await openQuestions();
    const { push, upload, assertion, ...others } = questions;
    const nothing = { push: [0, 0], upload: [0, 0], assertion: [0, 0] };
    expect(await costs({ push, upload, assertion })).toEqual(nothing);
    for (const prepare of [() => undefined, mark]) {
      await prepare();
      for (const [name, [read, written]] of Object.entries(await costs(others))) {
        expect(read, name).toBeLessThanOrEqual(1);
        expect(written, name).toBe(0);
      }
    }
  });

  it('would show it, and writes only where the namespace has one', async ({ expect }) => {
    const { questions, mark, operations } = await openQuestions();
    await operations.ensureRepository({ namespace: 'other', repository: 'app' } as never);
    await operations.setQuota('other', limitsOf(1000));
    for (const [name, [read = 0, written]] of Object.entries(await costs(questions))) {
      expect(written, name).toBe(0);
      expect(read, name).toBeGreaterThan(0);
    }
    await operations.removeQuota('other');
    await operations.setQuota('acme', limitsOf(1000));
    const { assertion, ...writes } = questions;
    await expect(costs({ assertion })).rejects.toThrow('assert_retry');
    const written = Object.fromEntries(
      Object.entries(await costs(writes)).map(([name, [, count]]) => [name, count]),
    );
    expect(written).toEqual({
      push: 0,
      upload: 0,
      resizeNamespaces: 1,
      resizeRepositories: 1,
      garbageOfNamespaces: 1,
      garbageOfRepositories: 1,
      purgedOfNamespaces: 0,
      purgedOfRepositories: 0,
    });
    await mark();
    const { purgedOfNamespaces, purgedOfRepositories } = questions;
    expect(await costs({ purgedOfNamespaces, purgedOfRepositories })).toMatchObject({
      purgedOfNamespaces: [expect.any(Number), 1],
      purgedOfRepositories: [expect.any(Number), 1],
    });
  });
});
