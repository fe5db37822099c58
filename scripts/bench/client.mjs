import { createHash } from 'node:crypto';
import http from 'node:http';
import { pipeline } from 'node:stream/promises';

/**
 * @typedef {{
 *   status: number, headers: http.IncomingHttpHeaders, body: Buffer, durationMs: number,
 * }} Answer
 * @typedef {{ headers?: Record<string, string>, body?: Uint8Array | AsyncIterable<Uint8Array>, expect?: number }} Call
 * @typedef {(method: string, path: string, call?: Call) => Promise<Answer>} Send
 */

/** The benchmark's tokens are good for an hour; a call must not outlast its own. */
const TOKEN_USED_MS_MAX = 3_000_000;

/**
 * Asks a registry over connections that stay open.
 * @param {string} origin
 * @param {{
 *   authorization?: string, connections?: number, onAnswer?: (answer: Answer) => void,
 * }} [options] without an authorization nobody logs in
 */
export function openClient(origin, { authorization, connections = 1, onAnswer } = {}) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  /** @type {Map<string, { token: string, issuedMs: number }>} */
  const tokens = new Map();

  /** @type {Send} */
  async function send(method, path, { headers = {}, body, expect } = {}) {
    const startedMs = performance.now();
    const answer = await new Promise((resolve, reject) => {
      const length = body instanceof Uint8Array ? { 'Content-Length': String(body.length) } : {};
      const request = http.request(new URL(path, origin), {
        method,
        agent,
        headers: { ...length, ...headers },
      });
      request.once('error', reject);
      request.once('response', (response) => {
        /** @type {Buffer[]} */
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
            durationMs: performance.now() - startedMs,
          }),
        );
      });
      writeBody(request, body).catch(reject);
    });
    onAnswer?.(answer);
    if (expect !== undefined && answer.status !== expect) {
      throw new Error(`${method} ${path}: ${answer.status} ${answer.body.toString()}`);
    }
    return answer;
  }

  /** @param {string} scope as a token's */
  async function tokenFor(scope) {
    const kept = tokens.get(scope);
    if (kept !== undefined && Date.now() - kept.issuedMs < TOKEN_USED_MS_MAX) {
      return kept.token;
    }
    const headers = { Authorization: authorization ?? '' };
    const { body } = await send('GET', `/v2/auth?scope=${scope}`, { headers, expect: 200 });
    const { token } = /** @type {{ token: string }} */ (JSON.parse(body.toString()));
    tokens.set(scope, { token, issuedMs: Date.now() });
    return token;
  }

  return {
    send,
    origin,
    /** What one sends as the administrator. */
    administrator: { Authorization: authorization ?? '' },

    /**
     * @param {string} repository
     * @returns {Promise<string>} what a header says who may pull from it and push to it
     */
    bearer: async (repository) => `Bearer ${await tokenFor(`repository:${repository}:pull,push`)}`,

    /**
     * Asks as somebody who has a token for the repository.
     * @param {string} repository
     * @param {{ from?: string }} [more] another repository that is pulled from
     * @returns {Promise<Send>}
     */
    async into(repository, { from } = {}) {
      const source = from === undefined ? '' : `&scope=repository:${from}:pull`;
      const scope = `repository:${repository}:pull,push${source}`;
      const asked = async () =>
        authorization === undefined ? {} : { Authorization: `Bearer ${await tokenFor(scope)}` };
      await asked();
      return async (method, path, call = {}) =>
        send(method, `/v2/${repository}${path}`, {
          ...call,
          headers: { ...(await asked()), ...call.headers },
        });
    },
    close: () => agent.destroy(),
  };
}

/** @typedef {ReturnType<typeof openClient>} Client */

/**
 * @param {http.ClientRequest} request
 * @param {Call['body']} body
 */
async function writeBody(request, body) {
  if (body === undefined || body instanceof Uint8Array) {
    request.end(body);
  } else {
    await pipeline(body, request);
  }
}

/** @param {Uint8Array} bytes */
export function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
