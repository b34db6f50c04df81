import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuditEntry } from '../../actions/index.ts';
import type { CloudEvent, Page, Ticket } from '../../domain/index.ts';
import { createRandom, pick } from '../../simulators/city/random.ts';
import { MOVES } from '../../tickets/index.ts';
import { ServerProcess } from '../kit/server.ts';

const BIN = fileURLToPath(new URL('../../bin/lamppost.js', import.meta.url));
const CLIENTS = 50;
const ACTIONS_EACH = 24;
const TICKETS = 5;
const KILLS = 6;
const ACTIONS = ['acknowledge', 'assign', 'start', 'resolve', 'close', 'reopen', 'comment', 'hand-over'] as const;
type Action = (typeof ACTIONS)[number];

/** A request of a client and its outcome; status null: the connection broke, and the outcome is unknown. */
interface Asked {
  readonly ticket: string;
  readonly action: Action;
  /** In the note, so that the test can find it. */
  readonly mark: string;
  readonly by: string;
  readonly ifMatch: number | null;
  readonly status: number | null;
  readonly version: number | null;
}

const server = new ServerProcess();
const random = createRandom('fifty clients');
const asked: Asked[] = [];
let clients: { readonly id: string; readonly secret: string }[] = [];
const tickets: string[] = [];

beforeAll(async () => {
  await server.start();
  const keys = Array.from({ length: CLIENTS }, (_, i) => ({
    name: `client ${i}`,
    role: 'operator',
    department: i % 5 === 0 ? 'waste' : null,
  }));
  clients = await Promise.all(keys.map((key) => server.post<(typeof clients)[number]>('/api/v1/keys', key)));
  const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
  for (let i = 0; i < TICKETS; i++) tickets.push((await server.post<Ticket>('/api/v1/tickets', wanted)).id);
});
afterAll(() => server.stop());

/** Resolves when the server that was killed responds again. */
let back: Promise<void> = Promise.resolve();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends a request; resolves to null where the connection broke, as soon as the server is back. */
async function send(
  path: string,
  secret: string,
  init: RequestInit = {},
): Promise<{ status: number; body: Ticket } | null> {
  try {
    const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json', ...init.headers };
    const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, { ...init, headers });
    return { status: response.status, body: (await response.json()) as Ticket };
  } catch {
    await back;
    return null;
  }
}

/** One client: acts on a ticket that most others act on too, every other time only on the version that it has seen. */
async function act({ id, secret }: (typeof clients)[number], n: number): Promise<void> {
  const ticket = random() < 0.6 ? tickets[0]! : pick(random, tickets);
  const action = pick(random, ACTIONS);
  const mark = `<${id}/${n}>`;
  const to = action === 'hand-over' ? pick(random, ['waste', 'environment', 'traffic']) : undefined;
  const seen = random() < 0.5 ? await send(`/api/v1/tickets/${ticket}`, secret) : null;
  const ifMatch = seen?.status === 200 ? seen.body.version : null;
  const request = {
    method: 'POST',
    body: JSON.stringify({ note: mark, to, ...(action === 'assign' ? { assignee: 'Li' } : {}) }),
    headers: { 'idempotency-key': `${id}/${n}`, ...(ifMatch === null ? {} : { 'if-match': `"${ifMatch}"` }) },
  };
  const path = `/api/v1/tickets/${ticket}/${action}`;
  let response = await send(path, secret, request);
  // Where the connection broke, every other client asks again: it gets the first result, or is the first.
  if (response === null && n % 2 === 0) response = await send(path, secret, request);
  const status = response?.status ?? null;
  const version = status === 200 ? response!.body.version : null;
  asked.push({ ticket, action, mark, by: `key:${id}`, ifMatch, status, version });
}

/** Kills after this many requests, while the next fifty are in progress. */
async function killAt(counts: readonly number[]): Promise<void> {
  for (const count of counts) {
    while (asked.length < count) await pause(1);
    back = server.kill().then(() => server.start());
    await back;
  }
}

const ticketOf = (id: string) => server.get<Ticket>(`/api/v1/tickets/${id}`);

test('tickets - fifty clients act on the same tickets over kill -9: what was answered is in the history once, at its version', async () => {
  const all = CLIENTS * ACTIONS_EACH;
  const kills = Array.from({ length: KILLS }, () => 50 + Math.floor(random() * (all - 150))).sort((a, b) => a - b);
  const killing = killAt(kills);
  await Promise.all(
    clients.map(async (client) => {
      for (let n = 0; n < ACTIONS_EACH; n++) await act(client, n);
    }),
  );
  await killing;
  await server.kill();
  await server.start();

  const histories = new Map<string, Ticket['history']>();
  for (const id of tickets) histories.set(id, (await ticketOf(id)).history);
  const done = asked.filter(({ status }) => status === 200);
  expect(done.length).toBeGreaterThan(all / 8);
  expect(asked.filter(({ status }) => status === null).length).toBeGreaterThanOrEqual(KILLS);
  for (const { ticket, mark, by, action, ifMatch, status, version } of asked) {
    const history = histories.get(ticket)!;
    const at = history.flatMap(({ note }, i) => (note.includes(mark) ? [i + 1] : []));
    if (status === null) expect(at.length, mark).toBeLessThanOrEqual(1);
    else expect(at, `${mark} ${action} ${status}`).toEqual(version === null ? [] : [version]);
    const [found] = at;
    if (found === undefined) continue;
    expect(history[found - 1]).toMatchObject({ by, action: MOVES[action].done });
    if (ifMatch !== null) expect(found, 'acted on the version that it had seen').toBe(ifMatch + 1);
  }
});

test('tickets - refusals have their reason: another version, a status that does not allow it, another department', () => {
  const statuses = new Set(asked.map(({ status }) => status));
  for (const expected of [200, 409, 412]) expect(statuses).toContain(expected);
  expect([...statuses].filter((status) => ![null, 200, 403, 404, 409, 412].includes(status))).toEqual([]);
});

test('tickets - every history is consistent: versions without a gap, each status from the one before, each transition allowed', async () => {
  for (const id of tickets) {
    const { version, status, history } = await ticketOf(id);
    expect(history).toHaveLength(version);
    expect(history.map(({ from }) => from)).toEqual([null, ...history.slice(0, -1).map(({ to }) => to)]);
    expect(history.at(-1)!.to).toBe(status);
    expect(history.map(({ at }) => at)).toEqual(history.map(({ at }) => at).toSorted());
    for (const { from, action } of history.slice(1)) {
      const move = Object.values(MOVES).find((one) => one.done === action)!;
      expect(move.from, action).toContain(from);
    }
  }
});

test('tickets - every version was published once, as an event of its own, and the last is the current ticket', async () => {
  for (const id of tickets) {
    const ticket = await ticketOf(id);
    const events: CloudEvent[] = [];
    let after: string | null = null;
    do {
      const query: string = `ticket=${id}&limit=200${after === null ? '' : `&after=${after}`}`;
      const page: Page<{ event: CloudEvent }> = await server.get(`/api/v1/events?${query}`);
      events.push(...page.items.map(({ event }) => event));
      after = page.next;
    } while (after !== null);
    expect(events.map((event) => event.id)).toEqual(ticket.history.map((_, i) => `${id}.${i + 1}`));
    expect(events.map(({ type }) => type.split('.').at(-1))).toEqual(ticket.history.map(({ action }) => action));
    expect(events.flatMap(({ data }) => (data as Ticket).history)).toEqual(ticket.history);
  }
});

test('audit - every answered action is in the trail with its result, and the trail fits the log', async () => {
  const results = new Map<string, string[]>();
  for (let after: string | null = null; ; ) {
    const page: Page<AuditEntry> = await server.get(
      `/api/v1/audit?limit=1000${after === null ? '' : `&after=${after}`}`,
    );
    for (const { actor, action, target, result } of page.items) {
      const name = `${actor} ${action} ${target}`;
      results.set(name, [...(results.get(name) ?? []), result]);
    }
    after = page.next;
    if (after === null) break;
  }
  const nameOf = ({ by, action, ticket }: Asked) => `${by.slice('key:'.length)} ticket.${action} ticket ${ticket}`;
  for (const [name, some] of Map.groupBy(asked, nameOf)) {
    const done = some.filter(({ status }) => status === 200).length;
    const unknown = some.filter(({ status }) => status === null).length;
    const found = (results.get(name) ?? []).filter((result) => result === 'done').length;
    expect(found, name).toBeGreaterThanOrEqual(done);
    expect(found, name).toBeLessThanOrEqual(done + unknown);
  }
  await server.stop();
  const verified = await promisify(execFile)(process.execPath, [BIN, 'audit', 'verify', '--data', server.data]);
  expect(verified.stdout).toMatch(/^audit: \d+ entries and \d+ anchors in the log fit\n$/);
});
