import { cpSync, existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Ticket } from '../../domain/index.ts';
import { allTickets, Bins, numbersIn } from '../kit/bins.ts';
import { ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

const CLIENTS = 20;
const KILLS = 10;

test('kill -9 ten times - everything acknowledged is in the history or the quarantine, the ledger balances, tickets are those of an undisturbed run', async () => {
  const server = new ServerProcess();
  await server.start();
  const bins = new Bins();
  await bins.start(server, CLIENTS);
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(300 + Math.random() * 900);
    await server.kill();
    await server.start();
  }
  const before = bins.count();
  await until(() => bins.count() > before + 2_000, 'messages after the last kill');
  await bins.stop();

  const ledger = await server.settledLedger();
  expect(ledger.messages.received).toBeGreaterThanOrEqual(bins.count());
  const acknowledged = bins.acknowledged();
  const known = await numbersIn(server, acknowledged.keys());
  for (const [id, numbers] of acknowledged) {
    await server.settledLedger(id);
    const missing = [...numbers].filter((n) => !known.get(id)!.has(n));
    expect(missing, `${id}: acknowledged, but nowhere`).toEqual([]);
  }

  const tickets = await allTickets(server);
  // A bin that is full again soon reopens its ticket.
  expect(tickets.reduce((sum, { reopened }) => sum + 1 + reopened, 0)).toBeGreaterThan(CLIENTS);
  const open = tickets.filter(({ status }) => status === 'open').map(({ rule, group }) => `${rule} ${group}`);
  expect(new Set(open).size, 'one incident, one ticket').toBe(open.length);
  expect(await server.stop()).toBe(0);

  // An undisturbed server gets the messages of this one's journal in the same order.
  const undisturbed = new ServerProcess();
  await replayInto(undisturbed, server.data);
  await undisturbed.settledLedger();
  const expected = await allTickets(undisturbed);
  const facts = (ticket: Ticket) => [
    ticket.id,
    ticket.rule,
    ticket.group,
    ticket.status,
    ticket.version,
    ticket.openedAt,
    ticket.updatedAt,
  ];
  expect(tickets.map(facts)).toEqual(expected.map(facts));
  expect(await undisturbed.stop()).toBe(0);
});

/** A new server with a copy of the journal alone: it processes everything again, without a crash. */
async function replayInto(server: ServerProcess, from: string): Promise<void> {
  for (const name of ['journal.sqlite', 'journal.sqlite-wal']) {
    if (existsSync(`${from}/${name}`)) cpSync(`${from}/${name}`, `${server.data}/${name}`);
  }
  await server.start();
}

test('SIGTERM - what was acknowledged is settled, and the process exits 0', async () => {
  const server = new ServerProcess();
  await server.start();
  const bins = new Bins();
  await bins.start(server, 1);
  await until(() => bins.count() > 100, 'some messages');
  await bins.stop();
  expect(await server.stop()).toBe(0);
  await server.start();
  const ledger = await server.settledLedger();
  expect(ledger.messages.received).toBe(bins.count());
  expect(await server.stop()).toBe(0);
});
