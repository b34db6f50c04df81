import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A mail as received over SMTP. */
export interface Received {
  readonly to: readonly string[];
  /** Headers by name in lower case, unfolded. */
  readonly headers: Readonly<Record<string, string>>;
  /** The complete text, as it was sent. */
  readonly raw: string;
  /** Ids of the events in it. */
  readonly events: readonly string[];
}

/** A real mail server on the loopback that keeps what it receives. */
export class Mailbox {
  readonly mails: Received[] = [];
  /** Its response to a recipient; by default it accepts all. */
  welcome: (address: string) => { code: number; text: string } | null = () => null;
  /** Called before a mail is acknowledged. */
  beforeAnswer: () => Promise<void> = async () => {};
  readonly #server: SMTPServer;

  constructor(options: SMTPServerOptions = {}) {
    this.#server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      ...options,
      onRcptTo: ({ address }, _session, callback) => callback(errorOf(this.welcome(address))),
      onData: (stream, session, callback) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const to = session.envelope.rcptTo.map(({ address }) => address);
          this.mails.push(parse(to, Buffer.concat(chunks).toString()));
          void this.beforeAnswer().then(() => callback());
        });
      },
    });
    // Clients are killed in the middle of a command.
    this.#server.on('error', () => {});
  }

  /** Starts listening; returns its URL. */
  async start(): Promise<string> {
    const server = this.#server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#server.close(resolve));
  }
}

function errorOf(refusal: { code: number; text: string } | null): Error | null {
  return refusal === null ? null : Object.assign(new Error(refusal.text), { responseCode: refusal.code });
}

function parse(to: readonly string[], raw: string): Received {
  const [head = ''] = raw.split('\r\n\r\n', 1);
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  return { to, headers, raw, events: (headers['x-lamppost-events'] ?? '').split(' ') };
}
