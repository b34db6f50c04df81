import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Ledger, Quarantined, Ticket } from '../../../domain/index.ts';
import type { NumberedEvent } from '../../../events/index.ts';
import { allEvents, allTickets } from '../bins.ts';
import type { WebhookReceiver } from '../receiver.ts';
import type { ServerProcess } from '../server.ts';
import type { createSseReader } from '../sse-reader.ts';
import { inLanes } from '../storm.ts';
import { PATIENCE_MS, pause } from '../wait.ts';
import { expectComplete } from '../webhooks.ts';
import { brokenNumber, compare } from './fleet.ts';
import { type Asked, actionFaults, incidentFaults } from './operator.ts';

const SHOWN = 5;

/** Checks every promise that can be checked while the server runs; returns what is broken, and the number of events. */
export async function checkNow(
  server: ServerProcess,
  acknowledged: ReadonlyMap<string, ReadonlySet<number>>,
  asked: readonly Asked[],
): Promise<{ faults: string[]; events: number }> {
  const faults = [...(await readingFaults(server, acknowledged))];
  const tickets = await allTickets(server);
  const events = await allEvents(server);
  faults.push(...actionFaults(asked, tickets), ...incidentFaults(tickets), ...eventFaults(tickets, events));
  return { faults, events: events.length };
}

/** Promises 1 and 2. */
async function readingFaults(
  server: ServerProcess,
  acknowledged: ReadonlyMap<string, ReadonlySet<number>>,
): Promise<string[]> {
  const faults: string[] = [];
  const total = [...acknowledged.values()].reduce((sum, { size }) => sum + size, 0);
  const ledger = await server.settledLedger();
  if (ledger.messages.received < total) faults.push(`the ledger has ${ledger.messages.received} of ${total} messages`);
  const refused = await refusedByDevice(server);
  await inLanes([...acknowledged], 4, async ([id, numbers]) => {
    faults.push(...unbalanced(id, await server.get<Ledger>(`/api/v1/ledger?device=${id}`)));
    const difference = await compare(server, id, numbers, refused.get(id) ?? new Set());
    for (const [what, found] of Object.entries(difference) as [string, number[]][]) {
      if (found.length > 0) faults.push(`${id}: ${found.length} are ${what}: ${found.slice(0, SHOWN)}`);
    }
  });
  return faults;
}

/** Numbers of the messages in the quarantine. */
async function refusedByDevice(server: ServerProcess): Promise<Map<string, Set<number>>> {
  const refused = new Map<string, Set<number>>();
  await inLanes(await server.all<Quarantined>('/api/v1/quarantine'), 4, async ({ id, device }) => {
    const own = refused.get(device!) ?? new Set();
    own.add(brokenNumber(await server.refusedText(id)));
    refused.set(device!, own);
  });
  return refused;
}

function unbalanced(id: string, { messages, readings }: Ledger): string[] {
  const isBalanced =
    messages.received === messages.decoded + messages.quarantined + messages.pending &&
    readings.received === readings.stored + readings.duplicate + readings.quarantined;
  return isBalanced ? [] : [`the ledger of ${id} does not balance: ${JSON.stringify({ messages, readings })}`];
}

/** Events are numbered without a gap, and each version of a ticket is one. */
function eventFaults(tickets: readonly Ticket[], events: readonly NumberedEvent[]): string[] {
  const faults = events.flatMap(({ n }, i) => (n === i + 1 ? [] : [`event ${i + 1} has number ${n}`])).slice(0, SHOWN);
  const ids = events.map(({ event }) => event.id);
  if (new Set(ids).size < ids.length) faults.push('two events have the same id');
  const versions = new Set(events.filter(({ event }) => event.type.includes('.ticket.')).map(({ event }) => event.id));
  for (const { id, version, history } of tickets) {
    if (history.length !== version) faults.push(`ticket ${id} has ${history.length} entries at version ${version}`);
    const missing = history.filter((_, i) => !versions.has(`${id}.${i + 1}`));
    if (missing.length > 0) faults.push(`ticket ${id}: ${missing.length} of ${version} versions are no event`);
  }
  return faults;
}

interface Arrived {
  readonly sse: ReturnType<typeof createSseReader>;
  readonly mqtt: readonly string[];
}

/** Waits until every subscriber has every event, and checks what each got: SSE exactly once, the others at least. */
export async function checkSubscribers(
  server: ServerProcess,
  receiver: WebhookReceiver,
  { sse, mqtt }: Arrived,
): Promise<string[]> {
  const events = await allEvents(server);
  const webhook = () => receiver.arrivals.map(({ id }) => id);
  const deadline = Date.now() + PATIENCE_MS;
  const behind = () =>
    sse.received.length < events.length ||
    new Set(webhook()).size < events.length ||
    new Set(mqtt).size < events.length;
  while (behind() && Date.now() < deadline) await pause(100);
  const faults = [];
  const got = sse.received.slice(0, events.length);
  const wrong = events.find(({ n }, i) => got[i]?.n !== n);
  if (wrong !== undefined) faults.push(`SSE: event ${wrong.n} did not come in its place`);
  if (sse.resets.length > 0) faults.push(`SSE: ${sse.resets.length} resets`);
  if (receiver.bad.length > 0) faults.push(`webhook: ${receiver.bad.length} signatures are wrong`);
  for (const [name, ids] of Object.entries({ webhook: webhook(), MQTT: mqtt })) {
    try {
      expectComplete(name, ids, events, 'any');
    } catch (error) {
      faults.push((error as Error).message.slice(0, 500));
    }
  }
  return faults;
}

/** Looks through the files of a server that has ended. */
export async function checkFiles(data: string): Promise<string[]> {
  const faults = [];
  for (const name of readdirSync(data).filter((one) => one.endsWith('.sqlite'))) {
    const db = new DatabaseSync(join(data, name), { readOnly: true });
    const rows = db.prepare('pragma integrity_check').all();
    db.close();
    const found = rows.map((row) => String(row.integrity_check)).filter((text) => text !== 'ok');
    if (found.length > 0) faults.push(`${name}: ${found.slice(0, SHOWN)}`);
  }
  if (!readdirSync(data).includes('history.duckdb')) return faults;
  const instance = await DuckDBInstance.create(join(data, 'history.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const tables = await connection.runAndReadAll('select table_name from duckdb_tables()');
  for (const [table] of tables.getRows()) await connection.run(`select count(*), max(t) from "${table}" as t`);
  connection.closeSync();
  instance.closeSync();
  return faults;
}
