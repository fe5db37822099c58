import { describe, it, vi } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  type Answer,
  basic,
  manifestOf,
  pick,
  pushImage,
  putManifest,
  send,
  uploadBlob,
} from '../../support/http.ts';
import { isolateWith } from '../../support/isolate.ts';
import { execute } from '../../support/stage.ts';

const ON = { LEGACY_IMAGE_READS: 'true' };

/** An image that Docker v1 could show: a config and one layer. */
async function pushDockerImage(name: string, ...tagNames: readonly string[]): Promise<void> {
  const layer = uniqueBytes(100);
  const layerDigest = await uploadBlob(name, layer);
  const config = encodeUtf8(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [layerDigest] },
      history: [{ created_by: 'one' }],
    }),
  );
  const type = 'application/vnd.oci.image';
  const image = await manifestOf(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociManifest,
    config: {
      mediaType: `${type}.config.v1+json`,
      size: config.byteLength,
      digest: await uploadBlob(name, config),
    },
    layers: [{ mediaType: `${type}.layer.v1.tar`, size: 100, digest: layerDigest }],
  });
  for (const tagName of tagNames) {
    const { status, text } = await putManifest(name, image, tagName);
    if (status !== 201) {
      throw new Error(`the image was not stored: ${status} ${text}`);
    }
  }
}

const tagsOf = (name: string) => `/v1/repositories/${name}/tags`;
const idsIn = ({ text }: Answer) => JSON.parse(text) as Record<string, string>;

async function tokenFor(scope: string): Promise<string> {
  const issued = await send('GET', `/v2/auth?scope=${scope}`);
  return `Bearer ${(JSON.parse(issued.text) as { token: string }).token}`;
}

describe('the tags of the first registry API', () => {
  it('are their image ids by name, and one each, where the setting is on', async ({ expect }) => {
    await pushDockerImage('acme/app', 'latest', '1.0');
    await pushImage('acme/app', 'chart');
    const ask = await isolateWith(ON);
    const list = await ask('GET', tagsOf('acme/app'));
    const ids = idsIn(list);
    expect([list.status, Object.keys(ids)]).toEqual([200, ['1.0', 'chart', 'latest']]);
    expect(pick(list, 'content-type')).toEqual({ 'content-type': 'application/json' });
    expect(ids['latest']).toMatch(/^[0-9a-f]{64}$/);
    expect(ids['1.0']).toBe(ids['latest']);
    const one = await ask('GET', `${tagsOf('acme/app')}/latest`);
    expect([one.status, one.text]).toEqual([200, `"${ids['latest']}"`]);
    expect(pick(one, 'content-type')).toEqual({ 'content-type': 'application/json' });
    const head = await ask('HEAD', `${tagsOf('acme/app')}/latest`);
    expect([head.status, head.text]).toEqual([200, '']);
    // The map does not look whether there is an image, as it costs a read for each.
    for (const tag of ['chart', 'none', 'not%20a%20tag']) {
      const answer = await ask('GET', `${tagsOf('acme/app')}/${tag}`);
      expect([answer.status, JSON.parse(answer.text)]).toEqual([
        404,
        {
          error: `tag '${decodeURIComponent(tag)}' not found, or its image has no Docker v1 form`,
        },
      ]);
    }
  });

  it('are found by any name that a repository may have', async ({ expect }) => {
    const names = ['alpine', 'a/b/c', 'a/tags/b', 'a/tags'];
    for (const name of names) {
      await pushDockerImage(name, 'v1', 'tags-1');
    }
    const ask = await isolateWith(ON);
    for (const name of names) {
      const ids = idsIn(await ask('GET', tagsOf(name)));
      expect([name, Object.keys(ids)]).toEqual([name, ['tags-1', 'v1']]);
      for (const tag of ['v1', 'tags-1']) {
        const one = await ask('GET', `${tagsOf(name)}/${tag}/`);
        expect([name, one.text]).toEqual([name, `"${ids[tag]}"`]);
      }
    }
    expect((await ask('GET', tagsOf('library/alpine'))).text).toBe(
      (await ask('GET', tagsOf('alpine'))).text,
    );
    for (const [name, status, error] of [
      ['acme/none', 404, "repository 'acme/none' not found"],
      ['NOT/A/NAME', 400, 'invalid repository name'],
    ] as const) {
      for (const path of [tagsOf(name), `${tagsOf(name)}/v1`]) {
        const answer = await ask('GET', path);
        expect([path, answer.status, JSON.parse(answer.text)]).toEqual([path, status, { error }]);
      }
    }
  });

  it('are for those who may pull; others learn nothing, not even of the repository', async ({
    expect,
  }) => {
    await pushDockerImage('acme/app', 'v1');
    const pull = await tokenFor('repository:acme/app:pull');
    const other = await tokenFor('repository:acme/other:pull');
    const ask = await isolateWith(ON);
    for (const end of ['', '/v1']) {
      const read = await ask('GET', `${tagsOf('acme/app')}${end}`, { authorization: pull });
      expect(read.status).toBe(200);
      for (const authorization of [null, basic('admin', 'wrong'), 'Bearer x', other]) {
        for (const name of ['acme/app', 'acme/none']) {
          const answer = await ask('GET', `${tagsOf(name)}${end}`, { authorization });
          expect([answer.status, answer.text, pick(answer, 'www-authenticate')]).toEqual([
            401,
            '{"error":"authentication required"}',
            {
              'www-authenticate':
                'Bearer realm="http://registry.test/v2/auth",service="registry.test",' +
                `scope="repository:${name}:pull"`,
            },
          ]);
        }
      }
    }
  });

  it('of a disabled namespace are for tokens that were issued before', async ({ expect }) => {
    await pushDockerImage('acme/app', 'v1');
    const authorization = await tokenFor('repository:acme/app:pull');
    await execute(`UPDATE namespace SET enabled = 0 WHERE name = 'acme'`);
    const ask = await isolateWith(ON);
    for (const path of [tagsOf('acme/app'), `${tagsOf('acme/app')}/v1`]) {
      const closed = await ask('GET', path);
      expect([closed.status, closed.text]).toEqual([
        405,
        `{"error":"namespace 'acme' is disabled"}`,
      ]);
      expect((await ask('GET', path, { authorization })).status).toBe(200);
    }
  });

  it('need the key that ids are made with, and say so', async ({ expect }) => {
    await pushDockerImage('acme/app', 'v1');
    const ask = await isolateWith({ ...ON, LEGACY_IMAGE_KEY: undefined });
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    for (const path of [tagsOf('acme/app'), `${tagsOf('acme/app')}/v1`]) {
      const answer = await ask('GET', path);
      expect([answer.status, JSON.parse(answer.text)]).toEqual([
        503,
        { error: expect.stringMatching(/^The secret LEGACY_IMAGE_KEY is not set/) as unknown },
      ]);
    }
    expect(log).toHaveBeenCalledTimes(2);
    log.mockRestore();
    expect((await ask('GET', '/v2/acme/app/tags/list')).status).toBe(200);
  });
});

describe('everything else under /v1', () => {
  const REST: readonly (readonly [string, string])[] = [
    ['GET', '/v1/'],
    ['GET', '/v1/_ping'],
    ['GET', '/v1/users'],
    ['GET', '/v1/search?q=app'],
    ['GET', '/v1/repositories/acme/app/images'],
    ['GET', `/v1/images/${'0'.repeat(64)}/json`],
    ['GET', '/v1/repositories/tags'],
    ['PUT', `${tagsOf('acme/app')}/v1`],
    ['DELETE', `${tagsOf('acme/app')}/v1`],
    ['DELETE', tagsOf('acme/app')],
  ];

  it('is not there, and neither are the tags where the setting is off', async ({ expect }) => {
    await pushDockerImage('acme/app', 'v1');
    const reads = ['GET', 'HEAD'].flatMap((method) =>
      ['', '/v1'].map((end) => [method, `${tagsOf('acme/app')}${end}`] as const),
    );
    for (const [settings, calls] of [
      [ON, REST],
      [{ LEGACY_IMAGE_READS: 'false' }, [...REST, ...reads]],
      [{}, [...REST, ...reads]],
    ] as const) {
      const ask = await isolateWith(settings);
      for (const [method, path] of calls) {
        for (const call of [{}, { authorization: null }]) {
          const answer = await ask(method, path, call);
          expect([method, path, answer.status]).toEqual([method, path, 404]);
          expect(answer.text).toContain(method === 'HEAD' ? '' : '"error_type":"not_found"');
        }
      }
    }
  });
});
