/**
 * Lists the tags of a repository that have not moved for so many days, and with `--expire` has each
 * end a week from now. Paths, queries, bodies and answers are typed by the registry's own document.
 *
 *     BERTH_ORIGIN=… BERTH_LOGIN=ada:VHRJ… npm start -- acme/app 90 --expire
 */
import { parseArgs } from 'node:util';

import createClient from 'openapi-fetch';

import type { components, paths } from './api.d.ts';

type Tag = components['schemas']['Tag'];

const DAY_SEC = 86_400;
const PAGE_SIZE = 100;

const { BERTH_ORIGIN = 'http://localhost:8787', BERTH_LOGIN = '' } = process.env;
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { expire: { type: 'boolean', default: false } },
});
const [repository = '', days = '90'] = positionals;

const client = createClient<paths>({
  baseUrl: `${BERTH_ORIGIN}/api/v1`,
  headers: { Authorization: `Basic ${Buffer.from(BERTH_LOGIN).toString('base64')}` },
  // A repository's name has slashes, which are part of the path.
  pathSerializer: (path, params) =>
    path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      String(params[name]).split('/').map(encodeURIComponent).join('/'),
    ),
});

const nowSec = Math.floor(Date.now() / 1000);
for (const tag of await findStale(nowSec - Number(days) * DAY_SEC)) {
  console.log(`${tag.name} ${tag.manifest_digest} ${tag.last_modified}`);
  if (values.expire) {
    const { error } = await client.PUT('/repository/{repository}/tag/{tag}', {
      params: { path: { repository, tag: tag.name } },
      body: { expiration: nowSec + 7 * DAY_SEC },
    });
    if (error !== undefined) {
      console.error(`${tag.name}: ${error.error_message}`);
      process.exitCode = 1;
    }
  }
}

async function findStale(beforeSec: number): Promise<readonly Tag[]> {
  const stale: Tag[] = [];
  for (let page = 1; ; page += 1) {
    const { data, error } = await client.GET('/repository/{repository}/tag', {
      params: {
        path: { repository },
        query: { onlyActiveTags: 'true', limit: PAGE_SIZE, page },
      },
    });
    if (data === undefined) {
      throw new Error(error.error_message);
    }
    stale.push(...data.tags.filter((tag) => tag.start_ts <= beforeSec && !tag.immutable));
    if (!data.has_additional) {
      return stale;
    }
  }
}
