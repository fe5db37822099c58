import {
  type AccountName,
  type Robot,
  robotName,
  type RobotPurpose,
} from '../../model/accounts.ts';
import type { JsonObject, Page } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import {
  ROBOT_DESCRIPTION_LENGTH_MAX,
  ROBOT_METADATA_LENGTH_MAX,
  ROBOTS_PER_NAMESPACE_MAX,
} from '../../model/limits.ts';
import type { NamespaceName } from '../../model/names.ts';
import {
  credentialOfAccountStatement,
  insertFirstCredentialStatement,
  replaceRobotTokenStatement,
} from '../../storage/d1/credentials.ts';
import {
  type RobotChangeValues,
  changeRobotStatement,
  deleteRobotStatement,
  insertRobotStatement,
  robotPlaceStatement,
  robotsPageStatement,
  robotStatement,
} from '../../storage/d1/robots.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { requireText } from './fields.ts';
import { type PageOptions, readPage } from './pages.ts';
import { drawCredential } from './secrets.ts';

/** What is said of a robot when it is made; all of it may be left out. */
export interface RobotContent {
  /** What it is for; `pull_push` by default. */
  readonly purpose?: RobotPurpose;
  /** At most 255 characters. */
  readonly description?: string;
  /** Whatever its owner keeps about it: at most 10,000 characters as JSON. */
  readonly metadata?: JsonObject;
}

/** A robot, and the secret that was drawn for it, which is shown this once. */
export interface RobotWithSecret {
  readonly robot: Robot;
  readonly secret: string;
}

/** Keeps the robots of namespaces. A robot has one secret, and no rights but what it is given. */
export interface Robots {
  /** By name in byte order; nothing for an unknown namespace. */
  listRobots(namespace: NamespaceName, options?: PageOptions): Promise<Page<Robot>>;
  getRobot(namespace: NamespaceName, shortName: string): Promise<Robot | null>;
  /** Errors: NameInvalid, NameTaken, NamespaceNotFound, LimitReached, FieldInvalid. */
  createRobot(
    namespace: NamespaceName,
    shortName: string,
    content?: RobotContent,
  ): Promise<RobotWithSecret>;
  /** Changes what is given. Errors: AccountNotFound, FieldInvalid. */
  changeRobot(
    namespace: NamespaceName,
    shortName: string,
    changes: RobotContent & { readonly isEnabled?: boolean },
  ): Promise<Robot>;
  /** Draws a new secret; the old one is good no more. Errors: AccountNotFound. */
  regenerateRobotToken(namespace: NamespaceName, shortName: string): Promise<RobotWithSecret>;
  /** Removes a robot with its rights and memberships; false: there is none of this name. */
  deleteRobot(namespace: NamespaceName, shortName: string): Promise<boolean>;
}

const TOKEN_TITLE = 'robot token';

export function createRobots(deps: RegistryDeps): Robots {
  const { primary } = deps.database;
  return {
    listRobots: (namespace, options = {}) =>
      readPage(
        options,
        ({ name }) => name,
        (after, limit) =>
          primary.all(robotsPageStatement({ namespace, afterName: after ?? '', limit })),
      ),

    getRobot: (namespace, shortName) => readRobot(robotName(namespace, shortName), deps),

    createRobot: (namespace, shortName, content = {}) =>
      createRobot({ namespace, shortName, content }, deps),

    async changeRobot(namespace, shortName, changes) {
      const name = requireRobotName(namespace, shortName);
      const values = toChangeValues(changes);
      const [, found] = await sendAgain(() =>
        primary.batch([changeRobotStatement({ name, ...values }), robotStatement({ name })]),
      );
      return requireRobot(found[0], name);
    },

    async regenerateRobotToken(namespace, shortName) {
      const name = requireRobotName(namespace, shortName);
      const { secret, values } = await drawCredential(deps.ids);
      const nowMs = deps.clock.nowMs();
      const [, found] = await sendAgain(() =>
        primary.batch([
          replaceRobotTokenStatement({ ...values, robotName: name, nowMs }),
          robotStatement({ name }),
        ]),
      );
      return { robot: requireRobot(found[0], name), secret };
    },

    async deleteRobot(namespace, shortName) {
      const robot = await readRobot(robotName(namespace, shortName), deps);
      // By id: if the answer is lost and the name used again, it is not that robot which goes.
      return (
        robot !== null &&
        sendAgain(async (isAgain) => {
          const removed = await primary.first(deleteRobotStatement({ robotId: robot.id }));
          return removed !== null || isAgain;
        })
      );
    },
  };
}

async function createRobot(
  {
    namespace,
    shortName,
    content,
  }: {
    readonly namespace: NamespaceName;
    readonly shortName: string;
    readonly content: RobotContent;
  },
  { database, clock, ids }: RegistryDeps,
): Promise<RobotWithSecret> {
  const name = robotName(namespace, shortName);
  if (name === null) {
    throw new RegistryError('NameInvalid', { name: shortName });
  }
  const { purpose, description, metadata } = toChangeValues(content);
  const robot = {
    namespace,
    name,
    purpose: purpose ?? 'pull_push',
    description: description ?? '',
    metadata: metadata ?? '{}',
  };
  const { secret, values } = await drawCredential(ids);
  const [nowMs, max] = [clock.nowMs(), ROBOTS_PER_NAMESPACE_MAX];
  const [, , [credential], [made], [place]] = await sendAgain(() =>
    database.primary.batch([
      insertRobotStatement({ ...robot, nowMs, max }),
      insertFirstCredentialStatement({
        ...values,
        accountName: name,
        kind: 'robot_token',
        title: TOKEN_TITLE,
        nowMs,
      }),
      // By its own UUID: a sending whose answer was lost has done the work already.
      credentialOfAccountStatement({ accountName: name, uuid: values.uuid }),
      robotStatement({ name }),
      robotPlaceStatement({ namespace, name }),
    ]),
  );
  if (credential !== undefined && made !== undefined) {
    return { robot: made, secret };
  }
  if (place === undefined) {
    throw new RegistryError('NamespaceNotFound', { name: namespace });
  }
  throw place.isTaken
    ? new RegistryError('NameTaken', { name })
    : new RegistryError('LimitReached', { what: 'robots', max });
}

async function readRobot(
  name: AccountName | null,
  { database }: RegistryDeps,
): Promise<Robot | null> {
  return name === null ? null : database.primary.first(robotStatement({ name }));
}

/** Nobody is called what no robot can be called. Errors: AccountNotFound. */
function requireRobotName(namespace: NamespaceName, shortName: string): AccountName {
  const name = robotName(namespace, shortName);
  if (name === null) {
    throw new RegistryError('AccountNotFound', { name: `${namespace}+${shortName}` });
  }
  return name;
}

function requireRobot(found: Robot | undefined, name: AccountName): Robot {
  if (found === undefined) {
    throw new RegistryError('AccountNotFound', { name });
  }
  return found;
}

/** What is not given stays as it is. Errors: FieldInvalid. */
function toChangeValues({
  purpose,
  description,
  metadata,
  isEnabled,
}: RobotContent & { readonly isEnabled?: boolean }): RobotChangeValues {
  const metadataText = metadata === undefined ? null : JSON.stringify(metadata);
  requireText('description', description ?? '', { max: ROBOT_DESCRIPTION_LENGTH_MAX });
  requireText('metadata', metadataText ?? '', { max: ROBOT_METADATA_LENGTH_MAX });
  return {
    purpose: purpose ?? null,
    description: description ?? null,
    metadata: metadataText,
    enabled: isEnabled === undefined ? null : Number(isEnabled),
  };
}
