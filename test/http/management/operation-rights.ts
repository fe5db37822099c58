const DIGEST = `sha256:${'0'.repeat(64)}`;
const UUID = '00000000-0000-4000-8000-000000000000';
/** A repository that is not shown to everybody. */
export const PRIVATE = 'acme/private';

/**
 * What a caller must be: one with a role in the repository; who may make one; a member or an admin of
 * the organization; a person; the administrator, whom endpoints of an organization tell from its admins
 * later; somebody who is known; anybody, but for a secret that is not good; anybody at all.
 */
export type Need =
  | 'read'
  | 'write'
  | 'admin'
  | 'create'
  | 'member'
  | 'organization'
  | 'person'
  | 'person or administrator'
  | 'administrator'
  | 'administrator of an organization'
  | 'known'
  | 'anybody good'
  | 'anybody';

/** By operation: who may call it, what those are answered, and what they send. */
export type Row = readonly [need: Need, status: number, json?: unknown, query?: string];

const ofPolicies = (owner: string, need: Need): Readonly<Record<string, Row>> => ({
  [`listImmutabilityPoliciesOf${owner}`]: [need, 200],
  [`createImmutabilityPolicyOf${owner}`]: [need, 400, { tagPattern: '[' }],
  [`readImmutabilityPolicyOf${owner}`]: [need, 404],
  [`updateImmutabilityPolicyOf${owner}`]: [need, 404, { tagPattern: 'v.*' }],
  [`deleteImmutabilityPolicyOf${owner}`]: [need, 404],
  [`sweepImmutabilityPolicyOf${owner}`]: [need, 404, {}],
  [`listRetentionPoliciesOf${owner}`]: [need, 200],
  [`createRetentionPolicyOf${owner}`]: [need, 400, { method: 'number_of_tags', value: 0 }],
  [`readRetentionPolicyOf${owner}`]: [need, 404],
  [`updateRetentionPolicyOf${owner}`]: [need, 404, { method: 'number_of_tags', value: 1 }],
  [`deleteRetentionPolicyOf${owner}`]: [need, 404],
});

/** In the order in which they are sent; what they name is mostly not there. */
export const ROWS: Readonly<Record<string, Row>> = {
  describeError: ['anybody', 200],
  describeCapabilities: ['anybody', 200],
  findRepositories: ['anybody good', 200, undefined, '?query=app'],
  listRepositories: ['anybody good', 200, undefined, '?namespace=acme'],
  describeRepository: ['read', 200],
  listTags: ['read', 200],
  readTagPulls: ['read', 404],
  describeManifest: ['read', 404],
  readManifestPulls: ['read', 404],
  readSecurityStatus: ['read', 404],
  listLabels: ['read', 404],
  readLabel: ['read', 404],
  explainManifest: ['read', 404],
  explainBlob: ['read', 404],
  changeTag: ['write', 404, { expiration: null }],
  deleteTag: ['write', 404],
  restoreTag: ['write', 404, { manifest_digest: DIGEST }],
  expireTag: ['write', 404, { manifest_digest: DIGEST }],
  createLabel: ['write', 404, { key: 'team', value: 'core', media_type: null }],
  deleteLabel: ['write', 404],
  changeRepositoryDescription: ['write', 200, { description: '' }],
  createRelease: [
    'write',
    409,
    { moves: [{ repository: PRIVATE, tag: 'none', manifest_digest: DIGEST }] },
  ],
  startImport: ['write', 400, { source: 'none' }],
  listImports: ['write', 200],
  readImport: ['write', 404],
  cancelImport: ['write', 404],
  readRelease: ['known', 404],
  undoRelease: ['known', 404],
  listReleases: ['organization', 200],
  setSecurityStatus: ['write', 404, { status: 'failed' }],
  listScans: ['known', 200],
  resetSecurityStatus: ['admin', 404],
  listPermissions: ['admin', 200],
  readPermission: ['admin', 404],
  setPermission: ['admin', 400, { role: 'read' }],
  removePermission: ['admin', 404],
  explainPermission: ['admin', 404],
  listNotifications: ['admin', 200],
  createNotification: [
    'admin',
    400,
    { event: 'repo_push', method: 'webhook', config: { url: 'none' } },
  ],
  readNotification: ['admin', 404],
  resetNotification: ['admin', 404],
  testNotification: ['admin', 404],
  deleteNotification: ['admin', 404],
  planRetention: ['admin', 200],
  planCollectionOfRepository: ['admin', 200],
  collectRepository: ['admin', 200],
  listRemovals: ['admin', 200],
  listRepositoryLogs: ['admin', 200],
  countRepositoryLogs: ['admin', 200],
  changeRepositoryState: ['admin', 200, { state: 'NORMAL' }],
  changeRepositoryVisibility: ['admin', 200, { visibility: 'private' }],
  ...ofPolicies('Repository', 'admin'),
  createRepository: [
    'create',
    400,
    { namespace: 'acme', repository: 'private', visibility: 'private' },
  ],
  ...ofPolicies('Organization', 'organization'),
  readOrganization: ['organization', 200],
  changeOrganization: ['organization', 200, { held_by_pull_days: 0 }],
  readRegions: ['organization', 200],
  replaceRegions: ['organization', 200, { mode: 'off', blocked: [] }],
  listMembers: ['organization', 200],
  setMember: ['organization', 400, { role: 'member' }],
  removeMember: ['organization', 404],
  listRobots: ['member', 200],
  readRobot: ['organization', 404],
  listRobotPermissions: ['organization', 404],
  createRobot: ['organization', 400, {}],
  changeRobot: ['organization', 404, { enabled: true }],
  regenerateRobotToken: ['organization', 404],
  deleteRobot: ['organization', 404],
  listTrustRules: ['organization', 404],
  replaceTrustRules: ['organization', 404, []],
  deleteTrustRules: ['organization', 404],
  listOrganizationLogs: ['organization', 200],
  countOrganizationLogs: ['organization', 200],
  listQuotas: ['member', 200],
  readQuota: ['member', 404],
  replaceQuota: ['administrator of an organization', 404, { limit: '1 GiB' }],
  removeQuota: ['administrator of an organization', 404],
  createQuota: ['administrator of an organization', 201, { limit: '1 GiB' }],
  readUser: ['person', 200],
  changeUser: ['person', 200, { held_by_pull_days: 0 }],
  ...ofPolicies('User', 'person'),
  listRobotsOfUser: ['person', 200],
  readRobotOfUser: ['person', 404],
  listRobotPermissionsOfUser: ['person', 404],
  createRobotOfUser: ['person', 400, {}],
  changeRobotOfUser: ['person', 404, { enabled: true }],
  regenerateRobotTokenOfUser: ['person', 404],
  deleteRobotOfUser: ['person', 404],
  listTrustRulesOfUser: ['person', 404],
  replaceTrustRulesOfUser: ['person', 404, []],
  deleteTrustRulesOfUser: ['person', 404],
  listQuotasOfUser: ['person', 200],
  readQuotaOfUser: ['person', 404],
  listAppTokens: ['person', 200],
  readAppToken: ['person', 404],
  createAppToken: ['person', 200, { title: 'another' }],
  revokeAppToken: ['person', 404],
  listUserLogs: ['person or administrator', 200],
  countUserLogs: ['person or administrator', 200],
  createOrganization: ['administrator', 400, { name: 'acme' }],
  createUser: ['administrator', 400, { username: 'acme' }],
  planCollection: ['administrator', 200],
  collectGarbage: ['administrator', 200],
  readAudit: ['administrator', 200],
  listAllLogs: ['administrator', 200],
  countAllLogs: ['administrator', 200],
  deleteRepository: ['admin', 204],
  deleteOrganization: ['organization', 204],
};

/** What stands for a parameter of a path. */
export const PARAMETERS: Readonly<Record<string, string>> = {
  repository: PRIVATE,
  organization: 'acme',
  tag: 'none',
  digest: DIGEST,
  label: UUID,
  policy: UUID,
  release: UUID,
  import: UUID,
  notification: UUID,
  uuid: UUID,
  account: 'nobody',
  // Nobody can be called so.
  robot: 'NONE',
  quota: '1',
  error_type: 'not_found',
};
