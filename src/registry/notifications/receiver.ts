import {
  NOTIFICATION_ANSWER_MS_MAX,
  NOTIFICATION_URL_LENGTH_MAX,
} from '../../model/notification-limits.ts';
import { type OutboundRules, outboundProblem } from '../../model/outbound-address.ts';
import type { OutboundFetch } from '../deps.ts';

/** Where messages may be posted to, or why not. The path may hold a secret, and is never named. */
export function parseReceiver(
  text: string,
  rules: OutboundRules,
): { readonly url: URL } | { readonly problem: string } {
  const url = text.length <= NOTIFICATION_URL_LENGTH_MAX ? URL.parse(text) : null;
  if (url === null) {
    return { problem: `expected a URL of ${NOTIFICATION_URL_LENGTH_MAX} characters at most` };
  }
  const problem = outboundProblem(url, rules);
  return problem === null ? { url } : { problem };
}

/**
 * Posts a message; null if the receiver took it, else why not. It takes it by any answer of success;
 * a redirect is none, for nobody checked where it leads. Nothing of the answer is read.
 */
export async function post(
  url: URL,
  { headers, body }: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
  fetch: OutboundFetch,
): Promise<string | null> {
  const signal = AbortSignal.timeout(NOTIFICATION_ANSWER_MS_MAX);
  let answer: Response;
  try {
    answer = await fetch(url.href, {
      method: 'POST',
      signal,
      headers: { ...headers, 'Content-Type': 'application/json', 'User-Agent': 'Berth' },
      body,
      redirect: 'manual',
    });
  } catch {
    return signal.aborted
      ? `${url.host} does not answer within ${NOTIFICATION_ANSWER_MS_MAX / 1000} s`
      : `${url.host} does not answer`;
  }
  await answer.body?.cancel();
  return answer.ok ? null : `${url.host} answers ${answer.status}`;
}
