import { z } from '@hono/zod-openapi';

import { ACCOUNT_PAGE_SIZE_MAX } from '../../model/limits.ts';
import { nextPageParam } from './schemas.ts';

/** What every list that is paged by a token takes. */
export const pageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(ACCOUNT_PAGE_SIZE_MAX)
    .optional()
    .openapi({ description: 'How many a page has at most.' }),
  next_page: nextPageParam,
});

/** The same as the domain takes it. */
export function toPageOptions({ limit, next_page: cursor }: z.infer<typeof pageQuery>) {
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}
