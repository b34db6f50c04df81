import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const HEADERS = { authorization: `Bearer ${ADMIN_KEY}` };

let server: ServerProcess | null = null;
afterEach(async () => {
  await server?.kill();
});

const file = (name: string) => fileURLToPath(new URL(`../../docs/monitoring/${name}`, import.meta.url));

/** Prometheus' own checker. */
function promtool(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}` };
}

test('promtool - the alert rules are right, and fire when they should and not before', () => {
  expect(promtool(['check', 'rules', file('alerts.yaml')])).toMatchObject({ status: 0 });
  expect(promtool(['test', 'rules', file('alerts.test.yaml')])).toMatchObject({ status: 0 });
});

test('promtool - /metrics of a server with readings and tickets has no fault of names, units or types', async () => {
  server = new ServerProcess();
  await server.start();
  const device = { id: 'bin-1', profile: 'waste-bin', district: 'old-town' };
  await server.post('/api/v1/devices', device);
  await server.post('/api/v1/tickets', { service: 'waste', title: 'Broken bin', district: 'harbour' });
  const metrics = await (await fetch(`${server.url}/metrics`, { headers: HEADERS })).text();
  expect(metrics).toContain('lamppost_messages_received_total');
  expect(promtool(['check', 'metrics'], metrics)).toEqual({ status: 0, said: '' });
});
