import { setTimeout as pause } from 'node:timers/promises';
import type { Ticket } from '../../../domain/index.ts';
import { createRandom, pick } from '../../../simulators/city/random.ts';
import type { ServerProcess } from '../server.ts';
import { until } from '../wait.ts';

const ACTIONS = ['acknowledge', 'assign', 'start', 'resolve', 'close', 'reopen', 'comment', 'hand-over'] as const;
type Action = (typeof ACTIONS)[number];

/** A request of a client and its outcome; status null: the connection broke, and the outcome is unknown. */
export interface Asked {
  readonly ticket: string;
  readonly action: Action;
  /** In the note, so that it can be found. */
  readonly mark: string;
  readonly by: string;
  readonly ifMatch: number | null;
  readonly status: number | null;
  readonly version: number | null;
  /** When it was first sent, and when its outcome was known, epoch ms. */
  readonly sentMs: number;
  readonly knownMs: number;
}

interface Options {
  readonly clients: number;
  /** Tickets of one round, on which all clients act. */
  readonly tickets: number;
  /** Actions of one client in a round. */
  readonly actions: number;
  readonly seed: string;
}

interface Client {
  readonly id: string;
  readonly secret: string;
}

const BUSY = 503;

/** Clients that act on the same tickets, round by round, while the server is killed. */
export class Acting {
  readonly asked: Asked[] = [];
  readonly tickets: string[] = [];
  readonly #server: ServerProcess;
  readonly #options: Options;
  readonly #random: () => number;
  #clients: readonly Client[] = [];
  #round = 0;
  /** Resolves when the server that was killed responds again. */
  #back: Promise<void> = Promise.resolve();

  constructor(server: ServerProcess, options: Options) {
    this.#server = server;
    this.#options = options;
    this.#random = createRandom(options.seed);
  }

  /** Makes the clients' keys. */
  async open(): Promise<void> {
    const keys = Array.from({ length: this.#options.clients }, (_, i) => ({
      name: `client ${i}`,
      role: 'operator',
      department: i % 5 === 0 ? 'waste' : null,
    }));
    this.#clients = await Promise.all(keys.map((key) => this.#server.post<Client>('/api/v1/keys', key)));
  }

  /** One round on tickets of its own, with a kill in the middle of it. */
  async round(): Promise<void> {
    const { actions, clients, tickets } = this.#options;
    const round = this.#round++;
    const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
    const opened: string[] = [];
    for (let i = 0; i < tickets; i++) opened.push((await this.#server.post<Ticket>('/api/v1/tickets', wanted)).id);
    this.tickets.push(...opened);
    const killing = this.#killAfter(this.asked.length + Math.floor(this.#random() * clients * (actions - 1)));
    const works = this.#clients.map(async (client) => {
      for (let n = 0; n < actions; n++) await this.#act(client, `${round}.${n}`, opened);
    });
    await Promise.all([...works, killing]);
  }

  /** Kills after this many outcomes, while the next ones are on their way. */
  async #killAfter(outcomes: number): Promise<void> {
    while (this.asked.length < outcomes) await pause(1);
    this.#back = this.#server.kill().then(() => this.#server.start());
    await this.#back;
  }

  /** Acts on a ticket that most others act on too, every other time only on the version that it has seen. */
  async #act({ id, secret }: Client, n: string, tickets: readonly string[]): Promise<void> {
    const random = this.#random;
    const ticket = random() < 0.6 ? tickets[0]! : pick(random, tickets);
    const action = pick(random, ACTIONS);
    const mark = `<${id}/${n}>`;
    const to = action === 'hand-over' ? pick(random, ['waste', 'environment', 'traffic']) : undefined;
    const seen = random() < 0.5 ? await this.#send(`/api/v1/tickets/${ticket}`, secret) : null;
    const ifMatch = seen?.status === 200 ? seen.body.version : null;
    const request = {
      method: 'POST',
      body: JSON.stringify({ note: mark, to, ...(action === 'assign' ? { assignee: 'Li' } : {}) }),
      headers: { 'idempotency-key': `${id}/${n}`, ...(ifMatch === null ? {} : { 'if-match': `"${ifMatch}"` }) },
    };
    const path = `/api/v1/tickets/${ticket}/${action}`;
    const sentMs = Date.now();
    let response = await this.#send(path, secret, request);
    // Where the connection broke, every other client asks again: it gets the first result, or is the first.
    if (response === null && random() < 0.5) response = await this.#send(path, secret, request);
    // One that the engine has not reached in time is decided later.
    const status = response === null || response.status === BUSY ? null : response.status;
    const version = status === 200 ? response!.body.version : null;
    const outcome = { ticket, action, mark, by: `key:${id}`, ifMatch, status, version };
    this.asked.push({ ...outcome, sentMs, knownMs: Date.now() });
  }

  /** Sends a request; resolves to null where the connection broke, as soon as the server is back. */
  async #send(path: string, secret: string, init: RequestInit = {}): Promise<{ status: number; body: Ticket } | null> {
    try {
      const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json', ...init.headers };
      const response = await fetch(`http://127.0.0.1:${this.#server.httpPort}${path}`, { ...init, headers });
      return { status: response.status, body: (await response.json()) as Ticket };
    } catch {
      // The kill may come a moment later than the first connection that it breaks.
      await until(() => this.#server.running, 'a server that runs');
      await this.#back;
      return null;
    }
  }
}
