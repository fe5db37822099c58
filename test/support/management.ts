import type { TestAccount } from './accounts.ts';
import { basic } from './http.ts';
import { type ManagedAnswer, sendManaged } from './openapi.ts';
import { select } from './stage.ts';

/** What an account sends with its calls. */
export function as({ name, secret }: TestAccount): { readonly authorization: string } {
  return { authorization: basic(name, secret) };
}

/** The status and the type of a refusal. */
export function errorOf({ status, json }: ManagedAnswer): readonly [number, string] {
  return [status, (json as { error_type: string }).error_type];
}

export function messageOf({ json }: ManagedAnswer): string {
  return (json as { error_message: string }).error_message;
}

/** What a call refuses a request with that is wrong; throws unless it is 400 `invalid_request`. */
export async function mistakeOf(...call: Parameters<typeof sendManaged>): Promise<string> {
  const answer = await sendManaged(...call);
  if (answer.status !== 400 || errorOf(answer)[1] !== 'invalid_request') {
    throw new Error(`${call[0]} ${call[1]} answered ${answer.status} ${answer.text}`);
  }
  return messageOf(answer);
}

interface TagPage {
  readonly tags: readonly Record<string, unknown>[];
  readonly page: number;
  readonly has_additional: boolean;
}

/** A page of a repository's history. */
export async function tagsOf(name: string, query = ''): Promise<TagPage> {
  return (await sendManaged('GET', `/repository/${name}/tag/${query}`)).json as TagPage;
}

/** The id of the first repository. */
export async function firstRepositoryId(): Promise<number> {
  const [row] = await select('SELECT min(id) AS id FROM repository');
  return Number(row?.['id']);
}
