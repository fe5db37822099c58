import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES, OCI_CONFIG_MEDIA_TYPE } from '../../../src/image/media-types.ts';
import { MANAGEMENT_BODY_BYTES_MAX, SECURITY_REPORT_BYTES_MAX } from '../../../src/model/limits.ts';
import { anAccount, giveRight, type TestAccount } from '../../support/accounts.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  aName,
  indexOf,
  manifestOf,
  pushImage,
  putManifest,
  send,
  sendAndSettle,
  uploadBlob,
} from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

const NO_DIGEST = `sha256:${'0'.repeat(64)}`;
const at = (name: string, digest: string) => `/repository/${name}/manifest/${digest}/security`;

/** An image with a config of the type that images have. */
async function pushScannable(name: string, tagName: string) {
  const config = uniqueBytes();
  const manifest = await manifestOf(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    config: {
      mediaType: 'application/vnd.example.none',
      size: config.byteLength,
      digest: await uploadBlob(name, config),
    },
    layers: [],
  });
  await putManifest(name, manifest, tagName);
  await execute(
    'UPDATE manifest SET config_media_type = ? WHERE digest = ?',
    OCI_CONFIG_MEDIA_TYPE,
    manifest.digest,
  );
  return manifest;
}

const VULNERABILITY = {
  Severity: 'High',
  NamespaceName: 'debian:12',
  Link: 'https://security.example.com/CVE-2026-1',
  FixedBy: '1.2.4',
  Description: 'An “overflow”.',
  Name: 'CVE-2026-1',
  Metadata: { NVD: { CVSSv3: { Score: 7.5 } } },
};
const FEATURE = {
  Name: 'openssl',
  VersionFormat: 'dpkg',
  NamespaceName: 'debian:12',
  AddedBy: NO_DIGEST,
  Version: '1.2.3',
  BaseScores: [7.5],
  CVEIds: ['CVE-2026-1'],
};
const REPORT = {
  Layer: {
    Name: '',
    IndexedByVersion: 4,
    Features: [
      { ...FEATURE, Vulnerabilities: [VULNERABILITY] },
      { Name: 'bash', Version: '5' },
    ],
  },
};

/** A result about one package. */
const scanned = (feature: object) => ({
  status: 'scanned',
  data: { Layer: { Features: [feature] } },
});

const changeScanTime = (digest: string, scannedMs: number) =>
  execute(
    `UPDATE manifest_security_status SET last_indexed_ms = ?
      WHERE manifest_id = (SELECT id FROM manifest WHERE digest = ?)`,
    scannedMs,
    digest,
  );

interface Queue {
  readonly manifests: readonly {
    readonly repository: string;
    readonly manifest_digest: string;
    readonly since: string;
  }[];
  readonly next_page?: string;
}

async function queueOf(account: TestAccount | null, query = ''): Promise<readonly string[]> {
  const { json } = await sendManaged(
    'GET',
    `/security/queue${query}`,
    account === null ? {} : as(account),
  );
  return (json as Queue).manifests.map(({ manifest_digest: digest }) => digest);
}

describe('the security status by HTTP', () => {
  it('is queued until a scanner says what it came to, by Quay’s words for it', async ({
    expect,
  }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = at(name, digest);
    const status = async () => (await sendManaged('GET', path)).json;
    expect(await status()).toEqual({ status: 'queued', data: null });
    await execute(
      `INSERT INTO manifest_security_status (manifest_id, repository_id, index_status,
        last_indexed_ms, indexer_hash, indexer_version)
        SELECT id, repository_id, -4, 0, 'hash', 4 FROM manifest`,
    );
    // Of what no tag holds any more, too.
    await send('DELETE', `/v2/${name}/manifests/v1`);
    for (const [index, said] of [
      [-4, 'failed'],
      [-3, 'manifest_layer_too_large'],
      [-2, 'unsupported'],
      [-1, 'failed'],
      [0, 'queued'],
      [1, 'queued'],
      [2, 'scanned'],
    ] as const) {
      await execute(`UPDATE manifest_security_status SET index_status = ${index}`);
      expect(await status()).toEqual({ status: said, data: null });
    }
    for (const said of ['failed', 'unsupported', 'manifest_layer_too_large']) {
      const set = await sendManaged('PUT', path, { json: { status: said } });
      expect([set.status, set.json, await status()]).toEqual([
        200,
        { status: said, data: null },
        { status: said, data: null },
      ]);
    }
  });

  it('comes with the report, whose vulnerabilities are shown to who asks for them', async ({
    expect,
  }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = at(name, digest);
    const scanner = await anAccount('acme+scanner');
    await giveRight(scanner, await firstRepositoryId(), 'write');
    const set = await sendManaged('PUT', path, {
      json: { status: 'scanned', data: REPORT },
      ...as(scanner),
    });
    expect([set.status, set.json]).toEqual([200, { status: 'scanned', data: null }]);
    expect((await sendManaged('GET', `${path}?vulnerabilities=true`)).json).toEqual({
      status: 'scanned',
      data: REPORT,
    });
    const features = { Layer: { ...REPORT.Layer, Features: [FEATURE, REPORT.Layer.Features[1]] } };
    for (const query of ['', '?vulnerabilities=false']) {
      expect((await sendManaged('GET', `${path}${query}`)).json).toEqual({
        status: 'scanned',
        data: features,
      });
    }
    // The next result stands in its place, and the report goes with a status that has none.
    const empty = { Layer: { Features: [] } };
    await sendManaged('PUT', path, { json: { status: 'scanned', data: empty } });
    expect((await sendManaged('GET', path)).json).toEqual({ status: 'scanned', data: empty });
    await sendManaged('PUT', path, { json: { status: 'failed', data: null } });
    expect(await select('SELECT * FROM manifest_security_report')).toEqual([]);
  });

  it('is written by who may write, and reset by an admin', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const [reader, writer] = [await anAccount('acme+reader'), await anAccount('acme+writer')];
    const id = await firstRepositoryId();
    await giveRight(reader, id, 'read');
    await giveRight(writer, id, 'write');
    const path = at(name, digest);
    const put = { json: { status: 'scanned', data: REPORT } };
    expect((await sendManaged('GET', path, as(reader))).status).toBe(200);
    expect(errorOf(await sendManaged('PUT', path, { ...put, ...as(reader) }))[0]).toBe(403);
    expect((await sendManaged('PUT', path, { ...put, ...as(writer) })).status).toBe(200);
    expect(errorOf(await sendManaged('DELETE', path, as(writer)))[0]).toBe(403);
    expect((await sendManaged('DELETE', path)).status).toBe(204);
    expect((await sendManaged('GET', path)).json).toEqual({ status: 'queued', data: null });
    expect(await select('SELECT * FROM manifest_security_report')).toEqual([]);
    expect((await sendManaged('DELETE', path)).status).toBe(204);
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const call = method === 'PUT' ? put : {};
      const gone = await sendManaged(method, at(name, NO_DIGEST), call);
      expect(errorOf(gone)).toEqual([404, 'not_found']);
    }
  });

  it('is in the audit log, the report is not', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = `/api/v1${at(name, digest)}`;
    const headers = { 'Content-Type': 'application/json' };
    const body = JSON.stringify({ status: 'scanned', data: REPORT });
    await sendAndSettle('PUT', path, { headers, body });
    await sendAndSettle('DELETE', path);
    const records = await select(
      `SELECT kind, metadata FROM audit_log WHERE kind LIKE '%security%' ORDER BY id`,
    );
    expect(records).toEqual([
      {
        kind: 'set_security_status',
        metadata: JSON.stringify({ manifest_digest: digest, status: 'scanned' }),
      },
      { kind: 'reset_security_status', metadata: JSON.stringify({ manifest_digest: digest }) },
    ]);
  });

  it('is refused with the field that is wrong, and nothing is written', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const put = (json: unknown) => mistakeOf('PUT', at(name, digest), { json });
    expect(await put({ status: 'queued' })).toMatch(/^status/);
    expect(await put({ data: REPORT })).toMatch(/^status/);
    expect(await put({ status: 'scanned' })).toMatch(/^data/);
    expect(await put({ status: 'scanned', data: null })).toMatch(/^data/);
    expect(await put({ status: 'failed', data: REPORT })).toMatch(/^data/);
    expect(await put({ status: 'failed', colour: 'red' })).toMatch(/colour/);
    expect(await put({ status: 'scanned', data: {} })).toMatch(/^data\.Layer/);
    expect(await put(scanned({ Version: '1' }))).toMatch(/^data\.Layer\.Features\.0\.Name/);
    expect(await put(scanned({ Name: 'a', Vulnerabilities: [{ Name: 'CVE-1' }] }))).toMatch(
      /^data\.Layer\.Features\.0\.Vulnerabilities\.0\.Severity/,
    );
    // A number that is written longer than it came: what is kept is bounded, not what was sent.
    const scores = { Name: 'a', BaseScores: Array.from({ length: 60_000 }, () => 0) };
    const body = JSON.stringify(scanned(scores)).replaceAll('0,', '1e20,');
    expect(body.length).toBeLessThan(SECURITY_REPORT_BYTES_MAX);
    const headers = { 'Content-Type': 'application/json' };
    expect(await mistakeOf('PUT', at(name, digest), { headers, body })).toMatch(/^data/);
    const long = scanned({ Name: 'a'.repeat(MANAGEMENT_BODY_BYTES_MAX) });
    expect((await sendManaged('PUT', at(name, digest), { json: long })).status).toBe(413);
    expect(await select('SELECT * FROM manifest_security_status')).toEqual([]);
  });
});

describe('the queue of scans by HTTP', () => {
  it('has the images in use that no scanner came to a result with, the newest first', async ({
    expect,
  }) => {
    const name = aName();
    const one = await pushScannable(name, 'one');
    const two = await pushScannable(name, 'two');
    const gone = await pushScannable(name, 'gone');
    await send('DELETE', `/v2/${name}/manifests/gone`);
    await pushImage(name, 'artifact');
    await putManifest(name, await indexOf([one]), 'list');
    expect(await queueOf(null)).toEqual([two.digest, one.digest]);
    const { json } = await sendManaged('GET', '/security/queue');
    expect((json as Queue).manifests[0]).toEqual({
      repository: name,
      manifest_digest: two.digest,
      since: expect.stringMatching(/^20\d\d-.*Z$/),
    });
    await sendManaged('PUT', at(name, two.digest), { json: { status: 'unsupported' } });
    await sendManaged('PUT', at(name, gone.digest), { json: { status: 'unsupported' } });
    expect(await queueOf(null)).toEqual([one.digest]);
    expect(await queueOf(null, '?status=unsupported')).toEqual([two.digest]);
    await sendManaged('DELETE', at(name, two.digest));
    expect(await queueOf(null)).toEqual([two.digest, one.digest]);
    await execute(`UPDATE namespace SET enabled = 0`);
    expect(await queueOf(null)).toEqual([]);
  });

  it('shows a caller the repositories that they may write to, and strangers nothing', async ({
    expect,
  }) => {
    const [name, other] = [aName(), aName()];
    const mine = await pushScannable(name, 'v1');
    const id = await firstRepositoryId();
    const theirs = await pushScannable(other, 'v1');
    const [scanner, reader] = [await anAccount('acme+scanner'), await anAccount('acme+reader')];
    await giveRight(scanner, id, 'write');
    await giveRight(reader, id, 'read');
    expect(await queueOf(null)).toEqual([theirs.digest, mine.digest]);
    expect(await queueOf(scanner)).toEqual([mine.digest]);
    expect(await queueOf(reader)).toEqual([]);
    const stranger = await sendManaged('GET', '/security/queue', { authorization: null });
    expect(errorOf(stranger)).toEqual([401, 'invalid_token']);
  });

  it('has what was scanned before a time, the longest ago first', async ({ expect }) => {
    const name = aName();
    const [one, two] = [await pushScannable(name, 'one'), await pushScannable(name, 'two')];
    for (const { digest } of [two, one]) {
      await sendManaged('PUT', at(name, digest), { json: { status: 'scanned', data: REPORT } });
    }
    await changeScanTime(two.digest, 1000);
    await changeScanTime(one.digest, 5000);
    expect(await queueOf(null, '?status=scanned')).toEqual([two.digest, one.digest]);
    const before = (time: string) => queueOf(null, `?status=scanned&before=${time}`);
    expect(await before('1970-01-01T00:00:05.000Z')).toEqual([two.digest]);
    expect(await before('1970-01-01T00:00:01.000Z')).toEqual([]);
    expect(await queueOf(null, '?status=failed')).toEqual([]);
    for (const query of ['status=done', 'before=noon', 'next_page=x', 'limit=5']) {
      const answer = await sendManaged('GET', `/security/queue?${query}`);
      expect(errorOf(answer)).toEqual([400, 'invalid_request']);
    }
    expect(await mistakeOf('GET', '/security/queue?status=scanned&next_page=5')).toMatch(
      /^next_page/,
    );
  });
});
