import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Webhook } from 'standardwebhooks';

/** One request. */
export interface Arrival {
  readonly id: string;
  readonly contentType: string;
  readonly body: string;
}

/**
 * A receiver of webhooks on the loopback that verifies every signature; it responds to a bad one with 401 and records
 * it.
 */
export class WebhookReceiver {
  readonly arrivals: Arrival[] = [];
  readonly bad: string[] = [];
  secrets: string[] = [];
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
      const arrival = { id: headers['webhook-id']!, contentType: headers['content-type']!, body };
      this.arrivals.push(arrival);
      response.writeHead(await this.respond(arrival)).end('taken');
    });
  }

  #verifies(body: string, headers: Record<string, string>): boolean {
    return this.secrets.some((secret) => {
      try {
        new Webhook(secret).verify(body, headers, { jsonParse: false });
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Listens and returns the URL. */
  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}/hook`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
