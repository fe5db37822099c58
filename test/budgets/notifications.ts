import { anImage } from '../support/content.ts';
import { lookUp, type Scene } from '../support/costs.ts';

/** What telling somebody costs. A push that nobody is told of is among the pushes. */

/** A push that one is told of, beside others who want to hear of something else. */
const pushTold: Scene = async ({ registry, repository, name }) => {
  const image = await anImage(registry, repository);
  for (const event of ['repo_push', 'vulnerability_found', 'quota_error'] as const) {
    await registry.operations.createNotification(repository, {
      event,
      eventConfig: {},
      url: 'https://hooks.example.com/',
      title: null,
    });
  }
  return async (counted) => {
    const found = await lookUp(counted, name);
    await counted.registry.createManifestAndRetargetTag(found, image, 'told');
  };
};

/**
 * The message is written by the push's own transaction; behind the answer it is taken up, sent and
 * noted, which are two round trips.
 */
export const NOTIFICATIONS = [
  [
    'manifest push, 1 layer, and its message',
    pushTold,
    { roundTrips: 3 + 2, rowsRead: 60 + 14 + 20, rowsWritten: 30 + 2 + 8, r2Reads: 1 },
  ],
] as const;
