import { z } from '@hono/zod-openapi';

import { PLAN_TAGS_MAX } from '../../model/limits.ts';
import { epochMs, toEpochSeconds } from '../../model/time.ts';
import type { RetentionPlan } from '../../registry/tags/retention-plan.ts';
import type {
  RetentionPolicy,
  StoredRetentionPolicy,
} from '../../registry/tags/retention-policies.ts';
import { ManagementError } from './errors.ts';
import { epochSec, tagNameText, tagPatternText } from './schemas.ts';

/** What the endpoints of retention policies take and answer. */

const pattern = {
  tagPattern: tagPatternText.nullable().default(null).openapi({
    description: 'A regular expression (RE2) for whole names of tags; null: all names.',
  }),
  tagPatternMatches: z.boolean().default(true),
};

export const retentionContent = z
  .discriminatedUnion('method', [
    z.strictObject({
      method: z.literal('number_of_tags'),
      value: z.int().openapi({ description: 'How many tags are kept, the newest.' }),
      ...pattern,
    }),
    z.strictObject({
      method: z.literal('creation_date'),
      value: z.string().openapi({ description: 'How long tags are kept.', example: '7d' }),
      ...pattern,
    }),
  ])
  .openapi('RetentionPolicyContent');

export const retentionView = z
  .strictObject({
    uuid: z.uuid(),
    method: z.enum(['number_of_tags', 'creation_date']),
    value: z.union([z.int(), z.string()]).openapi({ example: '7d' }),
    tagPattern: tagPatternText.nullable(),
    tagPatternMatches: z.boolean(),
  })
  .openapi('RetentionPolicy');

const AGE = /^([0-9]{1,10})([smhdwy])$/;
const SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
};

/** Refuses with `invalid_request` an age that is none. */
export function toRetentionPolicy(content: z.infer<typeof retentionContent>): RetentionPolicy {
  const { tagPattern, tagPatternMatches } = content;
  if (content.method === 'number_of_tags') {
    return { method: content.method, tagsMax: content.value, tagPattern, tagPatternMatches };
  }
  const [, count, unit = ''] = AGE.exec(content.value) ?? [];
  if (count === undefined) {
    throw new ManagementError('invalid_request', `value: '${content.value}' is no age as '7d' is`);
  }
  const ageMaxSec = Number(count) * (SECONDS[unit] ?? 0);
  return { method: content.method, ageMaxSec, tagPattern, tagPatternMatches };
}

export function toRetentionView(policy: StoredRetentionPolicy): z.infer<typeof retentionView> {
  return {
    uuid: policy.uuid,
    method: policy.method,
    value: policy.method === 'number_of_tags' ? policy.tagsMax : formatAge(policy.ageMaxSec),
    tagPattern: policy.tagPattern,
    tagPatternMatches: policy.tagPatternMatches,
  };
}

/** In days where they are whole, as people count; weeks and years are told in days. */
function formatAge(ageSec: number): string {
  const unit = ['d', 'h', 'm'].find((each) => ageSec % (SECONDS[each] ?? 1) === 0) ?? 's';
  return `${ageSec / (SECONDS[unit] ?? 1)}${unit}`;
}

export const retentionPlanView = z
  .strictObject({
    count: z.int().min(0).openapi({ description: 'How many tags would end.' }),
    tags: z
      .array(
        z.strictObject({
          name: tagNameText,
          start_ts: epochSec,
          policies: z.array(z.uuid()).openapi({ description: 'Which policies say so.' }),
        }),
      )
      .openapi({ description: `The oldest ${PLAN_TAGS_MAX} at most.` }),
    complete: z.boolean().openapi({ description: 'False: not all tags were looked at.' }),
  })
  .openapi('RetentionPlan');

export function toRetentionPlanView(plan: RetentionPlan): z.infer<typeof retentionPlanView> {
  return {
    count: plan.tags.length,
    tags: plan.tags.slice(0, PLAN_TAGS_MAX).map(({ tagName, lifetimeStartMs, policies }) => ({
      name: tagName,
      start_ts: toEpochSeconds(epochMs(lifetimeStartMs)),
      policies: policies.map(({ uuid }) => uuid),
    })),
    complete: plan.isComplete,
  };
}
