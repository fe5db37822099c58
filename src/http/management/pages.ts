import { z } from '@hono/zod-openapi';

import { ACCOUNT_PAGE_SIZE_MAX } from '../../model/limits.ts';
import { limitParam, nextPageParam } from './schemas.ts';

/** What every list that is paged by a token takes. */
export const pageQuery = z.strictObject({
  limit: limitParam(ACCOUNT_PAGE_SIZE_MAX),
  next_page: nextPageParam,
});

/** The same as the domain takes it. */
export function toPageOptions({ limit, next_page: cursor }: z.infer<typeof pageQuery>) {
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}
