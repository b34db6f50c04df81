/**
 * `npm run examples`: does with a server of the sample city what its people would, and writes what each operation
 * responds, shortened and without secrets, to `api/responses/examples.json`. `/openapi.json` has these examples.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Mailbox } from '../kit/mailbox.ts';
import { WebhookReceiver } from '../kit/receiver.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { type Document, Recorder } from './recorder.ts';
import { Scene } from './scene.ts';

const FILE = fileURLToPath(new URL('../../api/responses/examples.json', import.meta.url));
const AT = '2026-06-01T08:00:00.000Z';

/** What one server alone does not have: a node and a bridge. */
const WRITTEN = {
  getCluster: {
    node: 'node-1',
    nodes: [
      {
        ...{ node: 'node-1', state: 'running', version: '1.0.0', startedAt: AT, stoppedAt: null, ageMs: 420 },
        ...{ ready: true, reasons: [], mirrored: 1024, decided: 1024, stored: 1020, seq: 1024, lagMs: 12 },
        ...{ holds: ['nightly'], checksum: '9f86d081884c7d65', clients: 118 },
        ...{ http: 'http://10.0.0.1:8080', mqtt: 'mqtt://10.0.0.1:1883' },
      },
    ],
  },
  getBridges: {
    items: [
      {
        ...{ id: 'harbour', url: 'mqtts://broker.harbour.example:8883', key: 'key-1234abcd', state: 'connected' },
        ...{ since: AT, received: 4096, acknowledged: 4095, refused: 0, commands: 3, pending: 1, lagSeconds: 0.02 },
        ...{ lastMessageAt: '2026-06-01T09:30:00.000Z', lastError: null },
      },
    ],
    next: null,
  },
};

const [mailbox, receiver] = [new Mailbox(), new WebhookReceiver()];
const hook = await receiver.start();
const [data, backups] = ['data', 'backups'].map((name) => mkdtempSync(join(tmpdir(), `lamppost-${name}-`))) as [
  string,
  string,
];
const server = new ServerProcess(data, {
  ...{ SMTP_URL: await mailbox.start(), SMTP_FROM: 'Lamppost <lamppost@city.example>' },
  ...{ LAMPPOST_PUBLIC_URL: 'https://lamppost.city.example', WEBHOOK_ALLOW_PRIVATE: 'true' },
  LAMPPOST_BACKUP_DIR: backups,
});
try {
  await server.start();
  const recorder = new Recorder(server.url, ADMIN_KEY, await server.get<Document>('/openapi.json'));
  for (const [text, shown] of [
    [backups, '/backups'],
    [data, '/data'],
    [hostname(), 'lamppost.city.example'],
    ['127.0.0.1', '192.0.2.10'],
  ] as const)
    recorder.hide(text, shown);
  await new Scene({ server, recorder, mailbox, receiver, hook, backup: join(backups, '2026-06-01') }).play();
  // A line for each, so that a difference can be read.
  const lines = Object.entries(recorder.examples(WRITTEN)).map(([id, one]) => `"${id}": ${JSON.stringify(one)}`);
  const text = `{\n${lines.join(',\n')}\n}\n`;
  writeFileSync(FILE, text);
  console.log(`examples.json ${Math.round(Buffer.byteLength(text) / 1024)} KB`);
} finally {
  await server.stop();
  receiver.stop();
  await mailbox.stop();
  for (const folder of [data, backups]) rmSync(folder, { recursive: true, force: true });
}
