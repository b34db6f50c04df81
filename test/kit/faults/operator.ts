import type { Ticket } from '../../../domain/index.ts';
import { ADMIN_KEY, type ServerProcess } from '../server.ts';
import { pause } from '../wait.ts';

/** The way of one ticket: the operator opens one, takes these steps, and opens the next. */
const STEPS = ['acknowledge', 'assign', 'comment', 'start', 'resolve', 'close'] as const;
const EVERY_MS = 500;
/** The longest that it waits for a response. */
const PATIENCE_MS = 15_000;

/** An action and its outcome; status null: no response, so nobody knows. */
export interface Asked {
  /** Null where a ticket was opened, and no response says which. */
  readonly ticket: string | null;
  readonly action: (typeof STEPS)[number] | 'open';
  /** In the note or the title, so that it can be found. */
  readonly mark: string;
  readonly status: number | null;
  readonly version: number | null;
}

/** One operator at work over HTTP, who notes each response. */
export class Operator {
  readonly asked: Asked[] = [];
  readonly #server: ServerProcess;
  readonly #onFault: (said: string) => void;
  #stopped = false;
  #done: Promise<void> = Promise.resolve();

  /** `onFault` is called with what responses of 500 and above say. */
  constructor(server: ServerProcess, onFault: (said: string) => void) {
    this.#server = server;
    this.#onFault = onFault;
  }

  start(): void {
    this.#done = this.#work();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      const ticket = await this.#ask(null, 'open');
      for (const step of ticket === null ? [] : STEPS) {
        // Nobody knows whether a step without a response was taken; the next is taken all the same.
        if (!this.#stopped) await this.#ask(ticket, step);
      }
    }
  }

  /** Resolves to the ticket of a response. */
  async #ask(ticket: string | null, action: Asked['action']): Promise<string | null> {
    const mark = `<${this.asked.length}>`;
    const body =
      action === 'open'
        ? { service: 'waste', title: `Broken bin ${mark}`, district: 'harbour' }
        : { note: mark, ...(action === 'assign' ? { assignee: 'Li' } : {}) };
    const response = await this.#post(`/api/v1/tickets${ticket === null ? '' : `/${ticket}/${action}`}`, body);
    const isDone = response !== null && response.status < 300;
    const found = isDone ? response.ticket : null;
    const version = found?.version ?? null;
    this.asked.push({ ticket: ticket ?? found?.id ?? null, action, mark, status: response?.status ?? null, version });
    await pause(EVERY_MS);
    return found?.id ?? null;
  }

  async #post(path: string, body: object): Promise<{ status: number; ticket: Ticket } | null> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#server.httpPort}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const ticket = (await response.json()) as Ticket & { detail?: string };
      if (response.status >= 500) this.#onFault(`${response.status} ${ticket.detail}`);
      return { status: response.status, ticket };
    } catch {
      return null;
    }
  }
}

/** What is wrong in the tickets, as sentences: each answered action is in its history once, at its version. */
export function actionFaults(asked: readonly Asked[], tickets: readonly Ticket[]): string[] {
  const marks = new Map<string, { ticket: string; version: number }[]>();
  for (const { id, title, history } of tickets) {
    const texts = [title, ...history.map(({ note }) => note)];
    for (const [version, text] of texts.entries()) {
      for (const [mark] of (text ?? '').matchAll(/<\d+>/g))
        marks.set(mark, [...(marks.get(mark) ?? []), { ticket: id, version }]);
    }
  }
  return asked.flatMap(({ ticket, action, mark, status, version }) => {
    const found = marks.get(mark) ?? [];
    const what = `${action} ${mark} of ticket ${ticket}, answered with ${status}`;
    if (found.length > 1) return [`${what}, is there ${found.length} times`];
    if (version === null) return status !== null && status < 500 && found.length > 0 ? [`${what}, was done`] : [];
    if (found.length === 0) return [`${what}, is lost`];
    const isRight = found[0]!.ticket === ticket && (action === 'open' || found[0]!.version === version);
    return isRight ? [] : [`${what} with version ${version}, is version ${found[0]!.version} of ${found[0]!.ticket}`];
  });
}

/** What is wrong in the tickets of alerts: at any time a rule has at most one open ticket for a group. */
export function incidentFaults(tickets: readonly Ticket[]): string[] {
  const byGroup = Map.groupBy(
    tickets.filter(({ rule }) => rule !== null),
    ({ rule, group }) => `${rule} ${group}`,
  );
  return [...byGroup].flatMap(([group, all]) => {
    const open = all.filter(({ status }) => !['resolved', 'closed'].includes(status));
    return open.length > 1 ? [`${group} has the open tickets ${open.map(({ id }) => id).join(', ')}`] : [];
  });
}
