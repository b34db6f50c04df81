/**
 * Creates the fixture of a version from a real run of it: `node test/kit/state-fixture.ts
 * test/fixtures/state/<version>`.
 * Run once for each release; test/integration/migrations.test.ts starts a server with every one of them.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServerProcess } from './server.ts';
import { dumpSql } from './sql-dump.ts';

/** The responses that must stay the same in every later version. */
const SHOWN = {
  ledger: '/api/v1/ledger',
  tickets: '/api/v1/tickets?limit=1000',
  alerts: '/api/v1/alerts?limit=1000',
  events: '/api/v1/events?limit=1000',
  quarantine: '/api/v1/quarantine?limit=1000',
  devices: '/api/v1/devices?limit=1000',
  keys: '/api/v1/keys',
  rule: '/api/v1/rules/bin-nearly-full/history',
};

async function make(to: string): Promise<void> {
  const server = new ServerProcess();
  await server.start();
  const devices = ['bin-1', 'bin-2', 'bin-3'].map((id) => ({ id, profile: 'waste-bin', district: 'old-town' }));
  const registered = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices);
  const secrets = new Map(registered.map(({ id, secret }) => [id, secret]));
  await server.post('/api/v1/keys', { name: 'clerk', role: 'operator', department: 'waste' });
  await server.post('/api/v1/rules', {
    text: 'id: bin-nearly-full\ntitle: "{{device.name}} is at {{value}} %"\nwhere: { profile: waste-bin }\nwhen: { metric: fill, last: true, above: 80, clear: 50 }\nseverity: low\n',
    note: 'for the fixture',
  });
  const send = (id: string, ts: number, fill: number | string) =>
    sendText(id, JSON.stringify({ ts, metrics: { fill } }));
  const sendText = (id: string, body: string) =>
    fetch(`http://127.0.0.1:${server.httpPort}/ingest/${id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secrets.get(id)}`, 'content-type': 'application/json' },
      body,
    });
  const start = Date.now() - 60_000;
  for (const id of secrets.keys()) await send(id, start, 20);
  for (const id of secrets.keys()) await send(id, start + 10_000, 96);
  await send('bin-1', start + 10_000, 96);
  await send('bin-2', start + 20_000, 10);
  await send('bin-2', start + 30_000, 97);
  await send('bin-3', start + 30_000, 'full');
  await send('bin-3', start + 40_000, 1_000);
  await sendText('bin-3', '{"ts": 1');
  await server.settledLedger();
  const shown: Record<string, unknown> = {};
  for (const [name, path] of Object.entries(SHOWN)) shown[name] = await server.get(path);
  await server.stop();
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(server.data).filter((one) => one.endsWith('.sqlite'))) {
    writeFileSync(join(to, file.replace(/ite$/, '')), dumpSql(join(server.data, file)));
  }
  const text = JSON.stringify({ paths: SHOWN, shown, secrets: Object.fromEntries(secrets), atMs: start }, null, 1);
  writeFileSync(join(to, 'shown.json'), `${text}\n`);
}

await make(process.argv[2]!);
