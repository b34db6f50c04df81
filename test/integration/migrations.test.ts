import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import { describe, expect, test } from 'vitest';
import type { CloudEvent, Ledger, Page, QuarantinedInFull, Ticket } from '../../domain/index.ts';
import { FakeTime } from '../kit/fake-time.ts';
import { ServerProcess } from '../kit/server.ts';
import { loadSql } from '../kit/sql-dump.ts';
import type { KeptSession } from '../kit/state-fixture.ts';
import { until } from '../kit/wait.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/state', import.meta.url));

interface Shown {
  readonly paths: Record<string, string>;
  /** The responses of that version itself. */
  readonly shown: { readonly ledger: Ledger; readonly tickets: Page<Ticket> } & Record<string, unknown>;
  readonly secrets: Record<string, string>;
  /** Absent in fixtures from before sessions were kept. */
  readonly session?: KeptSession;
  readonly atMs: number;
}

/** Creates a data folder as the version left it. */
function folderOf(version: string): string {
  const data = mkdtempSync(join(tmpdir(), 'lamppost-migrations-'));
  for (const file of readdirSync(join(FIXTURES, version)).filter((name) => name.endsWith('.sql'))) {
    loadSql(readFileSync(join(FIXTURES, version, file), 'utf8'), join(data, `${file.slice(0, -4)}.sqlite`));
  }
  const sessions = join(data, 'sessions.sqlite');
  if (existsSync(sessions)) seenNow(sessions);
  return data;
}

/** A session that was away for too long ends; that of the fixture has just left. */
function seenNow(path: string): void {
  const db = new DatabaseSync(path);
  db.prepare('update sessions set seen = ?').run(Date.now());
  db.close();
}

function shownBy(version: string): Shown {
  return JSON.parse(readFileSync(join(FIXTURES, version, 'shown.json'), 'utf8')) as Shown;
}

/** The list had the payloads once; now each entry has its own. */
async function expectRefused(server: ServerProcess, { items }: Page<QuarantinedInFull>): Promise<void> {
  const listed = await server.get<Page<QuarantinedInFull>>('/api/v1/quarantine?limit=1000');
  expect(listed.items.map(({ id }) => id)).toEqual(items.map(({ id }) => id));
  for (const one of items) expect(await server.get(`/api/v1/quarantine/${one.id}`)).toMatchObject(one);
}

/** Comes back as the client that was away; expects every event that waited for it, in order. */
async function expectWaiting(server: ServerProcess, { clientId, user, secret, waiting }: KeptSession): Promise<void> {
  const login = { clientId, username: user, password: secret, clean: false };
  const client = mqtt.connect({ host: '127.0.0.1', port: server.mqttPort, reconnectPeriod: 0, ...login });
  const ids: string[] = [];
  client.on('message', (_topic, payload) => ids.push((JSON.parse(payload.toString()) as CloudEvent).id));
  const present = new Promise<boolean>((resolve, reject) => {
    client.once('connect', ({ sessionPresent }) => resolve(sessionPresent));
    client.once('error', reject);
  });
  expect(await present).toBe(true);
  await until(
    () => ids.length >= waiting.length,
    () => `the events that waited: ${ids}`,
  );
  await client.endAsync();
  expect(ids).toEqual(waiting);
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/tickets`, {
    headers: { authorization: `Bearer ${secret}` },
  });
  expect(response.status, 'the key opens the API too').toBe(200);
}

describe.each(readdirSync(FIXTURES))('a data folder of %s', (version) => {
  test('the server starts with it, responds as that version did, and goes on from there', async () => {
    const { paths, shown, secrets, session, atMs } = shownBy(version);
    // A few minutes later: what came due since then is not what that version showed.
    const time = new FakeTime(atMs + 180_000 - Date.now());
    const server = new ServerProcess(folderOf(version), time.environment);
    await server.start();
    await server.settledLedger();
    for (const [name, path] of Object.entries(paths)) {
      if (name === 'quarantine') await expectRefused(server, shown[name] as Page<QuarantinedInFull>);
      else expect(await server.get(path), name).toMatchObject(shown[name] as object);
    }
    if (session !== undefined) await expectWaiting(server, session);
    const open = shown.tickets.items.find(({ status }) => status === 'open')!;
    const group = open.group!;
    const response = await fetch(`http://127.0.0.1:${server.httpPort}/ingest/${group}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secrets[group]}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ts: time.now(), metrics: { fill: 5 } }),
    });
    expect(response.status).toBe(200);
    const { messages } = await server.settledLedger();
    expect(messages.received).toBe(shown.ledger.messages.received + 1);
    expect(await server.get<Ticket>(`/api/v1/tickets/${open.id}`)).toMatchObject({ status: 'resolved' });
    expect(await server.stop()).toBe(0);
  });
});

test.each(['state', 'journal'])(
  'a %s.sqlite of a newer version - the server says so in one line and ends with 1',
  async (name) => {
    const data = mkdtempSync(join(tmpdir(), 'lamppost-newer-'));
    const server = new ServerProcess(data);
    await server.start();
    expect(await server.stop()).toBe(0);
    const db = new DatabaseSync(join(data, `${name}.sqlite`));
    db.exec('update schema_versions set version = 99');
    db.close();
    server.output = '';
    await expect(server.start()).rejects.toThrow(
      /ended with 1: \S+\.sqlite has the tables of ".*" in version 99, .*\n$/,
    );
  },
);
