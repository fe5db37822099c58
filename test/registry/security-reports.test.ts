import { describe, it } from 'vitest';

import { SCANS_LOOKED_AT_MAX, SECURITY_REPORT_BYTES_MAX } from '../../src/model/limits.ts';
import type { SecurityReport } from '../../src/model/security.ts';
import { DAY_MS } from '../support/clock.ts';
import { allFates, losing } from '../support/lost-answers.ts';
import { codeOf, execute, openStage, select } from '../support/stage.ts';

const reportOf = (name: string): SecurityReport => ({
  Layer: {
    Features: [{ Name: name, Vulnerabilities: [{ Name: 'CVE-2026-1', Severity: 'High' }] }],
  },
});

const rows = async () => ({
  statuses: (await select('SELECT * FROM manifest_security_status')).length,
  reports: (await select('SELECT * FROM manifest_security_report')).length,
});

describe('setSecurityState', () => {
  it('keeps the last result and its report, whichever answers are lost', async ({ expect }) => {
    const stage = await openStage();
    const { manifest } = await stage.push('one', await stage.image());
    for (const [number, fates] of allFates(3).entries()) {
      const { gate } = losing(fates);
      const scan = { status: 'scanned', report: reportOf(`openssl-${number}`) } as const;
      const [outcome] = await Promise.allSettled([
        stage.operationsBehind(gate).setSecurityState(manifest, scan),
      ]);
      const { status, report } = await stage.operations.readSecurityState(manifest);
      if (outcome.status === 'fulfilled') {
        expect([status, report], fates.join(', ')).toEqual(['scanned', scan.report]);
      }
      expect(await rows()).toEqual(
        outcome.status === 'fulfilled' ? { statuses: 1, reports: 1 } : expect.anything(),
      );
    }
    await stage.operations.setSecurityState(manifest, { status: 'failed' });
    expect(await rows()).toEqual({ statuses: 1, reports: 0 });
  });

  it('refuses a manifest that was collected, or whose repository was deleted, meanwhile', async ({
    expect,
  }) => {
    const stage = await openStage();
    const { manifest } = await stage.push('one', await stage.image());
    const { manifest: other } = await stage.push('other', await stage.image());
    const set = async (target: typeof manifest) => {
      const scan = { status: 'scanned', report: reportOf('openssl') } as const;
      const [outcome] = await Promise.allSettled([stage.operations.setSecurityState(target, scan)]);
      return codeOf(outcome);
    };
    expect(await set(manifest)).toBeNull();
    await stage.registry.deleteTag(stage.repository, 'one');
    stage.clock.advance(30 * DAY_MS);
    expect(await stage.housekeeping.collectGarbage()).toMatchObject({ manifests: 1 });
    // What was said of it went with it.
    expect(await rows()).toEqual({ statuses: 0, reports: 0 });
    expect(await set(manifest)).toBe('ManifestNotFound');
    expect(await set(other)).toBeNull();
    await stage.operations.markRepositoryForDeletion(stage.repository);
    expect(await set(other)).toBe('ManifestNotFound');
    expect(await rows()).toEqual({ statuses: 1, reports: 1 });
  });

  it('leaves what quotas count as it is', async ({ expect }) => {
    const stage = await openStage();
    const limits = { limitBytes: 1_000_000, warningPercent: null, rejectPercent: 100 };
    await stage.operations.setQuota(stage.repository.namespaceName, limits);
    const { manifest } = await stage.push('one', await stage.image());
    const used = () => stage.operations.readQuota(stage.repository.namespaceName);
    const before = await used();
    await stage.operations.setSecurityState(manifest, {
      status: 'scanned',
      report: reportOf('a'.repeat(500_000)),
    });
    expect(await used()).toEqual(before);
    await stage.registry.resetSecurityStatus(manifest);
    expect(await used()).toEqual(before);
  });

  it('takes a report of the largest size, and none above', async ({ expect }) => {
    const stage = await openStage();
    const { manifest } = await stage.push('one', await stage.image());
    const frame = JSON.stringify(reportOf('')).length;
    const sized = (bytes: number) => reportOf('ü'.repeat((bytes - frame) / 2));
    const even = SECURITY_REPORT_BYTES_MAX - ((SECURITY_REPORT_BYTES_MAX - frame) % 2);
    const set = async (report: SecurityReport) => {
      const [outcome] = await Promise.allSettled([
        stage.operations.setSecurityState(manifest, { status: 'scanned', report }),
      ]);
      return codeOf(outcome);
    };
    expect(await set(sized(even))).toBeNull();
    expect(await set(sized(even + 2))).toBe('FieldInvalid');
    expect((await stage.operations.readSecurityState(manifest)).report).toEqual(sized(even));
  });
});

describe('the lists of scans', () => {
  it('are paged, and a page looks at so many manifests', async ({ expect }) => {
    const stage = await openStage();
    const { manifest } = await stage.push('one', await stage.image());
    const count = SCANS_LOOKED_AT_MAX + 10;
    await execute(
      `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, bytes, created_ms,
          config_media_type)
        WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)
        SELECT repository_id, 'sha256:' || printf('%064d', n), media_type, 2, '{}', n,
          config_media_type
        FROM counted, manifest WHERE manifest.id = ?`,
      count,
      manifest.id,
    );
    const usage = stage.meter.usage.d1RowsRead;
    const first = await stage.operations.listQueuedScans();
    // None of the new ones is in use; the one that is comes with the second page.
    expect(first).toMatchObject({ items: [], hasMore: true });
    expect(stage.meter.usage.d1RowsRead - usage).toBeLessThanOrEqual(6 * SCANS_LOOKED_AT_MAX);
    const second = await stage.operations.listQueuedScans({ cursor: first.cursor ?? null });
    expect(second.items.map(({ digest }) => digest)).toEqual([manifest.digest]);
    expect(second.hasMore).toBe(false);

    await execute(
      `INSERT INTO manifest_security_status (manifest_id, repository_id, index_status,
          last_indexed_ms, indexer_hash, indexer_version)
        SELECT id, repository_id, 2, id / 3, '', 4 FROM manifest`,
    );
    await execute(
      `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
        SELECT repository_id, 't' || id, id, 0, 1 FROM manifest WHERE id <> ?`,
      manifest.id,
    );
    const seen: string[] = [];
    let cursor: string | null = null;
    let pages = 0;
    do {
      const page = await stage.operations.listScans('scanned', { cursor });
      seen.push(...page.items.map(({ digest }) => digest));
      cursor = page.cursor ?? null;
      pages += 1;
    } while (cursor !== null);
    const all = await select('SELECT digest FROM manifest ORDER BY id / 3, id');
    expect([pages, seen]).toEqual([2, all.map(({ digest }) => digest)]);
  });
});
