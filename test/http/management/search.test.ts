import { env } from 'cloudflare:workers';
import { beforeEach, describe, it } from 'vitest';

import {
  searchAllStatement,
  searchPublicStatement,
  searchReadableStatement,
} from '../../../src/storage/d1/repository-search.ts';
import { addMember, anAccount, aNamespace, giveRight } from '../../support/accounts.ts';
import { isolateWith } from '../../support/isolate.ts';
import { as, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

interface Found {
  readonly results: readonly {
    readonly namespace: { readonly name: string };
    readonly name: string;
    readonly score: number;
  }[];
  readonly has_additional: boolean;
  readonly page: number;
  readonly start_index: number;
}

async function find(text: string, call: object = {}, more = ''): Promise<Found> {
  const query = `query=${encodeURIComponent(text)}${more}`;
  return (await sendManaged('GET', `/find/repositories?${query}`, call)).json as Found;
}

const namesOf = ({ results }: Found) =>
  results.map(({ namespace, name }) => `${namespace.name}/${name}`);
const names = async (text: string, call: object = {}) => namesOf(await find(text, call));
const NOBODY = { authorization: null };

async function addRepository(
  name: string,
  { isPublic = false, description = '' }: { isPublic?: boolean; description?: string } = {},
): Promise<number> {
  const [namespace = '', ...parts] = name.split('/');
  const [row] = await select(
    `INSERT INTO repository (namespace_id, name, visibility, description)
      VALUES ((SELECT id FROM namespace WHERE name = ?), ?, ?, ?) RETURNING id`,
    namespace,
    parts.join('/'),
    isPublic ? 'public' : 'private',
    description,
  );
  return Number(row?.['id']);
}

describe('a search for repositories', () => {
  let acmeId = 0;
  let acmeAppId = 0;
  beforeEach(async () => {
    acmeId = await aNamespace('acme');
    await aNamespace('zoo');
    acmeAppId = await addRepository('acme/app');
    await addRepository('acme/web/app', { isPublic: true });
    await addRepository('acme/application', { description: 'What pays the wages' });
    await addRepository('zoo/mapper', { isPublic: true, description: '100% of an_app\\s' });
  });

  it('has the best first: names, beginnings of parts, what is inside, descriptions', async ({
    expect,
  }) => {
    const { results } = await find('APP');
    expect(results.map(({ name, score }) => [name, score])).toEqual([
      ['app', 4],
      ['web/app', 4],
      ['application', 3],
      ['mapper', 2],
    ]);
    expect(await names('wages')).toEqual(['acme/application']);
    expect(await names('acme/app')).toEqual(['acme/app', 'acme/application']);
    expect(await names('zoo')).toEqual(['zoo/mapper']);
    expect(await names('nothing')).toEqual([]);
    expect(await names('')).toHaveLength(4);
  });

  it('takes a text as it is, whatever stands for other texts elsewhere', async ({ expect }) => {
    expect(await names('100%')).toEqual(['zoo/mapper']);
    expect(await names('an_app')).toEqual(['zoo/mapper']);
    expect(await names('app\\s')).toEqual(['zoo/mapper']);
    for (const text of ['a_p', '%', '_', "'", '"', '[a]', '*', 'ä', '\u0000']) {
      expect(await names(text), text).toEqual(['%', '_'].includes(text) ? ['zoo/mapper'] : []);
    }
  });

  it('has nothing that the caller may not read', async ({ expect }) => {
    const shown = ['acme/web/app', 'zoo/mapper'];
    const ada = await anAccount('ada');
    await addRepository('ada/app');
    const robot = await anAccount('acme+deploy');
    const pusher = await anAccount('acme+push', { purpose: 'push' });
    expect(await names('app', NOBODY)).toEqual(shown);
    expect(await names('app', as(ada))).toEqual(['ada/app', ...shown].toSorted());
    expect(await names('app', as(robot))).toEqual(shown);
    expect(await names('app', as(pusher))).toEqual([]);

    await giveRight(robot, acmeAppId, 'read');
    expect(await names('app', as(robot))).toEqual(['acme/app', ...shown]);
    expect(await names('app', as(ada))).not.toContain('acme/app');

    await addMember(ada, acmeId, 'member');
    expect(await names('wages', as(ada))).toEqual([]);
    await execute(`UPDATE namespace SET member_role = 'read' WHERE name = 'acme'`);
    expect(await names('wages', as(ada))).toEqual(['acme/application']);

    await execute(`UPDATE namespace SET enabled = 0 WHERE name = 'acme'`);
    expect(await names('app', NOBODY)).toEqual(['zoo/mapper']);
    expect(await names('app', as(ada))).toEqual(['ada/app', 'zoo/mapper']);
    await execute(`UPDATE repository SET state = 3 WHERE name = 'mapper'`);
    expect(await names('app', NOBODY)).toEqual([]);
    expect(await names('mapper')).toEqual([]);
  });

  it('has nothing for nobody in particular where pulls need a login', async ({ expect }) => {
    const via = await isolateWith({ ANONYMOUS_PULL: 'false' });
    expect(await names('app', { ...NOBODY, via })).toEqual([]);
    expect(await names('app', { ...as(await anAccount('ada')), via })).toContain('zoo/mapper');
  });

  it('has ten a page, and says when tags were made last', async ({ expect }) => {
    await execute(
      `WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 34)
        INSERT INTO repository (namespace_id, name)
        SELECT (SELECT id FROM namespace WHERE name = 'zoo'), printf('cage%d', i) FROM n`,
    );
    const pages = [1, 2, 3].map((page) => find('cage', {}, `&page=${page}`));
    const [first, second, third] = await Promise.all(pages);
    expect([first, second, third].map((page) => page?.has_additional)).toEqual([true, true, false]);
    expect(second).toMatchObject({ page: 2, start_index: 10 });
    const all = [first, second, third].flatMap((page) => (page ? namesOf(page) : []));
    expect(all).toEqual(Array.from({ length: 25 }, (_, index) => `zoo/cage${index + 10}`));
    const [used] = (await find('wages', {}, '&includeUsage=true')).results;
    expect(used).toMatchObject({
      last_modified: null,
      href: '/api/v1/repository/acme/application',
    });
    for (const [query, field] of [
      ['page=0', 'page'],
      ['page=101', 'page'],
      [`query=${'a'.repeat(256)}`, 'query'],
      ['includeUsage=perhaps', 'includeUsage'],
      ['text=app', 'text'],
    ] as const) {
      expect(await mistakeOf('GET', `/find/repositories?${query}`)).toContain(field);
    }
  });

  it('looks at so many at most, however many there are', async ({ expect }) => {
    const ada = await anAccount('ada');
    await giveRight(ada, acmeAppId, 'read');
    const asked = { text: 'nothing', searchedMax: 20, limit: 10, offset: 0 };
    const searches = [
      searchAllStatement(asked),
      searchPublicStatement(asked),
      searchReadableStatement({ ...asked, accountId: ada.id }),
    ];
    const cost = async () =>
      Promise.all(
        searches.map(async ({ sql, values }) => {
          const { meta } = await env.DB.prepare(sql)
            .bind(...values)
            .run();
          return meta.rows_read;
        }),
      );
    const costs = [];
    for (const to of [100, 1000, 5000]) {
      const [{ n = 0 } = {}] = await select('SELECT count(*) AS n FROM repository');
      await execute(
        `WITH RECURSIVE n(i) AS (SELECT ${Number(n)} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})
          INSERT INTO repository (namespace_id, name, visibility)
          SELECT (SELECT id FROM namespace WHERE name = 'zoo'), printf('r%d', i), 'public' FROM n`,
      );
      costs.push(await cost());
    }
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[2]).toEqual(costs[0]);
  });
});
