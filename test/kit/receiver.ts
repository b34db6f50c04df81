import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Webhook } from 'standardwebhooks';

/** One request. */
export interface Arrival {
  readonly id: string;
  readonly contentType: string;
  /** With lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Returns the CloudEvent of a request in binary mode, as a receiver reads it: the HTTP protocol binding 1.0.2, §3.1.
 */
export function cloudEventOf({ headers, body }: Pick<Arrival, 'headers' | 'body'>): Record<string, unknown> {
  const attributes = Object.entries(headers)
    .filter(([name]) => name.startsWith('ce-'))
    .map(([name, value]) => [name.slice(3), decodeURIComponent(value)]);
  const datacontenttype = headers['content-type'];
  return { ...Object.fromEntries(attributes), datacontenttype, data: JSON.parse(body) as unknown };
}

/**
 * A receiver of webhooks on the loopback that verifies every signature; it responds to a bad one with 401 and records
 * it.
 */
export class WebhookReceiver {
  readonly arrivals: Arrival[] = [];
  readonly bad: string[] = [];
  secrets: string[] = [];
  /** Whether a signature may be of any time: of senders whose clock a test sets. */
  anyTime = false;
  /** Returns the status of a response; by default 200 at once. */
  respond: (arrival: Arrival) => number | Promise<number> = () => 200;
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      } catch {
        // The sender was killed in the middle of its request.
        return;
      }
      const body = Buffer.concat(chunks).toString();
      const headers = request.headers as Record<string, string>;
      if (!this.#verifies(body, headers)) {
        this.bad.push(body);
        response.writeHead(401).end();
        return;
      }
      const arrival = { id: headers['webhook-id']!, contentType: headers['content-type']!, headers, body };
      this.arrivals.push(arrival);
      response.writeHead(await this.respond(arrival)).end('taken');
    });
  }

  #verifies(body: string, headers: Record<string, string>): boolean {
    return this.secrets.some((secret) => {
      try {
        const webhook = new Webhook(secret);
        if (this.anyTime) {
          const at = new Date(Number(headers['webhook-timestamp']) * 1_000);
          return headers['webhook-signature']!.split(' ').includes(webhook.sign(headers['webhook-id']!, at, body));
        }
        webhook.verify(body, headers, { jsonParse: false });
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Listens and returns the URL. */
  async start(host = '127.0.0.1'): Promise<string> {
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
    return `http://${host}:${(this.#server.address() as { port: number }).port}/hook`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
