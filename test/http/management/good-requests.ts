import { MS_PER_DAY } from '../../../src/model/time.ts';
import { aNamespace, addMember, anAccount, giveRight } from '../../support/accounts.ts';
import { ADMINISTRATOR, pushImage } from '../../support/http.ts';
import { as, firstRepositoryId } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { select } from '../../support/stage.ts';
import { PARAMETERS, PRIVATE, ROWS } from './operation-rights.ts';

/** A world in which each operation has something to do, and a request of each that is good. */

const HOOK = 'https://hooks.example.com/registry';
const NO_DIGEST = `sha256:${'0'.repeat(64)}`;

/** What a path names there, by parameter. */
export type Place = Readonly<Record<string, string>>;

export interface World {
  /** What the operations are about. */
  readonly here: Place;
  /** Of the parameters that are ids: what is there too, but belongs to another owner. */
  readonly elsewhere: Place;
  /** Of a person, who administers the organization. */
  readonly person: string;
}

const VULNERABILITY = {
  Severity: 'High',
  Name: 'CVE-2026-1',
  NamespaceName: 'debian:12',
  Link: HOOK,
  FixedBy: '1.2.4',
  Description: 'An overflow.',
  Metadata: { NVD: { CVSSv3: { Score: 7.5 } } },
};
const FEATURE = {
  Name: 'openssl',
  Version: '1.2.3',
  VersionFormat: 'dpkg',
  NamespaceName: 'debian:12',
  AddedBy: NO_DIGEST,
  BaseScores: [7.5],
  CVEIds: ['CVE-2026-1'],
  Vulnerabilities: [VULNERABILITY],
};
const LAYER = { Name: NO_DIGEST, ParentName: null, NamespaceName: 'debian:12' };
const RULE = { issuer: 'https://issuer.example.com', subject: 'repo:acme/app:*' };

const policies = { tagPattern: 'w.*', tagPatternMatches: true };
const prunes = { method: 'number_of_tags', value: 9, ...policies };
const ages = { method: 'creation_date', value: '9d', ...policies };

/** Bodies with all that an operation takes; of those that have kinds, one of each. */
const BODIES: Readonly<Record<string, readonly unknown[]>> = {
  changeTag: [{ expiration: null, immutable: false }],
  expireTag: [{ manifest_digest: NO_DIGEST, include_submanifests: true, is_alive: true }],
  createLabel: [{ key: 'tier', value: 'one', media_type: 'text/plain' }],
  ...Object.fromEntries(
    ['Repository', 'Organization', 'User'].flatMap((owner) => [
      [`createImmutabilityPolicyOf${owner}`, [policies]],
      [`updateImmutabilityPolicyOf${owner}`, [policies]],
      [`createRetentionPolicyOf${owner}`, [prunes, ages]],
      [`updateRetentionPolicyOf${owner}`, [prunes, ages]],
    ]),
  ),
  createRepository: [
    {
      namespace: 'acme',
      repository: 'new',
      visibility: 'private',
      description: 'new',
      repo_kind: 'image',
    },
  ],
  createOrganization: [{ name: 'new-org' }],
  createUser: [{ username: 'new-user' }],
  createAppToken: [
    { title: 'another', expiration: new Date(Date.now() + 30 * MS_PER_DAY).toISOString() },
  ],
  changeOrganization: [
    { tag_expiration_s: 86_400, held_by_pull_days: 1, member_role: 'read', enabled: true },
  ],
  replaceRegions: [{ mode: 'observe', blocked: ['US'] }],
  createRobot: [{ description: 'builds', purpose: 'pull' }],
  ...Object.fromEntries(
    ['createQuota', 'replaceQuota'].map((id) => [
      id,
      [
        { limit_bytes: 2 ** 30, limits: [{ type: 'Warning', limit_percent: 80 }] },
        { limit: '1 GiB', limits: [{ type: 'Reject', limit_percent: 90 }] },
      ],
    ]),
  ),
  startImport: [
    {
      source: 'registry.example.com/acme/app:1.2',
      username: 'ada',
      password: 'secret',
      tags: ['imported'],
    },
  ],
  createNotification: [
    { event: 'repo_push', method: 'webhook', config: { url: HOOK }, title: 'p', eventConfig: {} },
    {
      event: 'vulnerability_found',
      method: 'webhook',
      config: { url: HOOK },
      title: null,
      eventConfig: { vulnerability: { priority: 'High' } },
    },
    {
      event: 'repo_image_expiry',
      method: 'webhook',
      config: { url: HOOK },
      title: null,
      eventConfig: { days: 3 },
    },
  ],
  setSecurityStatus: [
    { status: 'scanned', data: { Layer: { ...LAYER, IndexedByVersion: 4, Features: [FEATURE] } } },
    { status: 'failed', data: null },
  ],
};

/** Where a body that is good as such is refused by the settings of the tests: what is not. */
const CONTROLS: Readonly<Record<string, unknown>> = { replaceTrustRules: [] };
const REFUSED_BY_SETTINGS: Readonly<Record<string, readonly unknown[]>> = {
  replaceTrustRules: [[RULE]],
};

/** Bodies that are good, with all fields; none: the operation takes none. */
export function goodBodiesOf(id: string, { digest = '' }: Place): readonly unknown[] {
  if (id === 'createRelease') {
    const move = { repository: PRIVATE, tag: 'v1', manifest_digest: digest, if_digest: digest };
    return [{ moves: [move] }];
  }
  const [, , body] = ROWS[id] ?? ['anybody', 0];
  return (
    REFUSED_BY_SETTINGS[id] ?? BODIES[id] ?? (body === undefined ? [] : [withDigest(body, digest)])
  );
}

/** What of those is taken as it is. */
export function controlsOf(id: string, here: Place): readonly unknown[] {
  return id in CONTROLS ? [CONTROLS[id]] : goodBodiesOf(id, here);
}

function withDigest(body: unknown, digest: string): unknown {
  return JSON.parse(JSON.stringify(body).replaceAll(NO_DIGEST, digest));
}

/** What a path of an operation names: what is there, but for what the operation is to make. */
export function placeOf(id: string, { here }: World): Place {
  return id.startsWith('createRobot') ? { ...here, robot: 'another' } : here;
}

async function make(
  path: string,
  json?: unknown,
  method = 'POST',
  authorization = ADMINISTRATOR,
): Promise<Record<string, string>> {
  const call = { ...(json === undefined ? {} : { json }), authorization };
  const { status, text, json: made } = await sendManaged(method, path, call);
  if (status >= 400) {
    throw new Error(`${method} ${path} answered ${status} ${text}`);
  }
  return made as Record<string, string>;
}

/** What belongs to a repository, and to its namespace. */
async function fill(organization: string, repository: string): Promise<Place> {
  const { digest } = await pushImage(repository, 'v1');
  const [ofRepository, ofNamespace] = [
    `/repository/${repository}`,
    `/organization/${organization}`,
  ];
  const made = await make(`${ofRepository}/manifest/${digest}/labels`, {
    key: 'team',
    value: 'core',
    media_type: null,
  });
  const { id: label = '' } = made['label'] as unknown as Record<string, string>;
  const { uuid: notification = '' } = await make(`${ofRepository}/notification`, {
    event: 'repo_push',
    method: 'webhook',
    config: { url: HOOK },
  });
  const { import: imported = '' } = await make(`${ofRepository}/import`, {
    source: 'registry.example.com/acme/app:1',
  });
  const { release = '' } = await make(`${ofNamespace}/release`, {
    moves: [{ repository, tag: 'v2', manifest_digest: digest }],
  });
  await make(`${ofNamespace}/robots/ci`, {}, 'PUT');
  await make(`${ofNamespace}/quota`, { limit: '1 TiB' });
  const policy: Record<string, string> = {};
  for (const [owner, path] of [
    ['Repository', ofRepository],
    ['Organization', ofNamespace],
  ] as const) {
    const locks = await make(`${path}/immutabilitypolicy`, { tagPattern: 'locked.*' });
    const ends = await make(`${path}/autoprunepolicy`, { method: 'number_of_tags', value: 50 });
    policy[`ImmutabilityPolicyOf${owner}`] = locks['uuid'] ?? '';
    policy[`RetentionPolicyOf${owner}`] = ends['uuid'] ?? '';
  }
  return {
    ...PARAMETERS,
    ...policy,
    organization,
    repository,
    tag: 'v1',
    digest,
    label,
    notification,
    import: imported,
    release,
    robot: 'ci',
    account: `${organization}+ci`,
  };
}

/** Makes the world, in two namespaces alike. */
export async function makeWorld(): Promise<World> {
  const here = await fill('acme', PRIVATE);
  const elsewhere = await fill('zoo', 'zoo/other');
  const [ada, eve] = [await anAccount('ada'), await anAccount('eve')];
  await addMember(ada, await aNamespace('acme'), 'admin');
  await giveRight(ada, await firstRepositoryId(), 'admin');
  const person = as(ada).authorization;
  await make('/user/robots/ci', {}, 'PUT', person);
  await make(`/organization/acme/members/${here['account']}`, { role: 'member' }, 'PUT');
  await make(`/repository/${PRIVATE}/permissions/user/${here['account']}`, { role: 'read' }, 'PUT');
  return {
    here: { ...here, uuid: await tokenOf(ada.id) },
    elsewhere: { ...elsewhere, uuid: await tokenOf(eve.id) },
    person,
  };
}

async function tokenOf(accountId: number): Promise<string> {
  const [row] = await select('SELECT uuid FROM credential WHERE account_id = ?', accountId);
  return String(row?.['uuid']);
}

/** As whom an operation is called: the administrator, but where it is for persons alone. */
export function callerOf(id: string, { person }: World): string {
  return ROWS[id]?.[0] === 'person' ? person : ADMINISTRATOR;
}

/** The path of a template; which policy is meant depends on the operation. */
export function pathOf(id: string, template: string, place: Place): string {
  const kind = /(?:Immutability|Retention)PolicyOf\w+$/.exec(id)?.[0] ?? '';
  const values: Place = { ...place, policy: place[kind] ?? place['policy'] ?? '' };
  return template.replaceAll(/\{([^}]+)\}/g, (_all, name: string) => values[name] ?? name);
}
