import type { OutboundFetch } from '../../src/registry/deps.ts';

/** A message that a receiver got. */
export interface ReceivedMessage {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly redirect: string;
}

/** Whoever is told of events; it stands for all servers there are, and takes what it gets. */
export class FakeReceiver {
  /** What it got, oldest first, taken or not. */
  readonly messages: ReceivedMessage[] = [];
  /** What it answers; by default that it took the message. */
  answer: (message: ReceivedMessage, signal: AbortSignal) => Response | Promise<Response> = () =>
    new Response(null, { status: 204 });

  readonly fetch: OutboundFetch = async (url, { method, headers, body, redirect, signal }) => {
    const message = { url, method: method ?? 'GET', headers, body: body ?? '', redirect };
    this.messages.push(message);
    return this.answer(message, signal);
  };

  /** What the messages say. */
  bodies(): readonly Readonly<Record<string, unknown>>[] {
    return this.messages.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
  }

  /** The ids of the messages, as the receiver knows them. */
  ids(): readonly string[] {
    return this.messages.map(({ headers }) => headers['webhook-id'] ?? 'none');
  }
}
