import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { Person } from '../../../domain/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
afterEach(async () => {
  await cluster?.end();
});

/** Two nodes over one nats-server. */
async function twoNodes(settings: Record<string, string> = {}) {
  cluster = await new Cluster().start(1, settings);
  await cluster.join('node-1', settings).start();
  return cluster.nodes as [ServerProcess, ServerProcess];
}

/** Wrong passwords of one name from one address that are checked: at once, and one more each 20 s. */
const AT_ONCE = 5;
const ONE_MORE_MS = 20_000;
const EMAIL = 'mei@city.example';
const PASSWORD = 'a lantern in the harbour';
const MEI = { name: 'Chen Mei', email: EMAIL, roles: [{ role: 'operator', department: null }] };

/** Sends a password from an address; resolves to the status of the response. */
async function signIn(node: ServerProcess, password: string, address: string): Promise<number> {
  const response = await fetch(`${node.url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': address },
    body: JSON.stringify({ email: EMAIL, password }),
  });
  await response.text();
  return response.status;
}

/** Signs in by a link, and sets a password. */
async function withPassword(node: ServerProcess): Promise<void> {
  const { id } = await node.post<Person>('/api/v1/users', MEI);
  const { path } = await node.post<{ path: string }>(`/api/v1/users/${id}/link`);
  const headers = { 'content-type': 'application/json', origin: node.url };
  const link = JSON.stringify({ token: path.split('#')[1] });
  const byLink = await fetch(`${node.url}/auth/link`, { method: 'POST', headers, body: link });
  const [cookie] = byLink.headers.getSetCookie()[0]!.split(';') as [string];
  const set = await fetch(`${node.url}/auth/password`, {
    method: 'POST',
    headers: { ...headers, cookie },
    body: JSON.stringify({ password: PASSWORD }),
  });
  expect(set.status).toBeLessThan(300);
}

test('logins - wrong passwords at one node count at the other: past five of both it checks no more, and the right one of another address is taken', async () => {
  const [a, b] = await twoNodes({ LAMPPOST_TRUSTED_PROXIES: '127.0.0.1' });
  await withPassword(a);
  await until(async () => (await signIn(b, PASSWORD, '192.0.2.1')) === 200, 'the password at the other node');
  const from = performance.now();
  for (let i = 0; i < 4; i++) expect(await signIn(a, `guess ${i} of many`, '192.0.2.7')).toBe(403);
  // The fifth is the last that is checked; who knows the password is let in before it.
  expect(await signIn(b, PASSWORD, '192.0.2.7')).toBe(200);
  let checked = 4;
  for (const node of [b, a]) while ((await signIn(node, 'another guess', '192.0.2.7')) !== 429) checked++;
  const more = Math.floor((performance.now() - from) / ONE_MORE_MS);
  expect(checked).toBeGreaterThanOrEqual(AT_ONCE);
  expect(checked).toBeLessThanOrEqual(AT_ONCE + more);
  for (const node of [a, b]) expect(await signIn(node, PASSWORD, '192.0.2.1')).toBe(200);
  // A node that learns of a refusal does not note it a second time.
  const noted = async () => (await b.all<{ result: string }>('/api/v1/audit')).map(({ result }) => result);
  const wrong = async () => (await noted()).filter((result) => result === 'wrong-password').length;
  await until(async () => (await wrong()) >= checked, 'all refusals in the audit trail');
  expect(await wrong()).toBe(checked);
});

test('logins - wrong keys of an address at one node use up those of the other, and a right key is let in', async () => {
  const [a, b] = await twoNodes();
  const statusOf = async (node: ServerProcess) => {
    const response = await fetch(`${node.url}/api/v1/devices`, { headers: { authorization: 'Bearer wrong' } });
    await response.text();
    return response.status;
  };
  let refused = 0;
  for (const node of [a, b]) while ((await statusOf(node)) !== 429) refused++;
  // Thirty at once, and one a second.
  expect(refused).toBeGreaterThanOrEqual(30);
  expect(refused).toBeLessThan(55);
  expect(await b.all('/api/v1/devices')).toEqual([]);
});

test('logins - a name that failed at one node waits at the other from the first time on; its right secret does not', async () => {
  const [a, b] = await twoNodes();
  const { secret } = await a.post<{ secret: string }>('/api/v1/devices', {
    ...{ id: 'bin-1', profile: 'waste-bin', district: 'old-town' },
  });
  const login = (node: ServerProcess, password: string) =>
    mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqttPort}`, {
      ...{ username: 'bin-1', password, clientId: 'bin-1', reconnectPeriod: 0 },
    });
  const device = await until(() => login(b, secret).catch(() => null), 'the device at the second node');
  await device.endAsync();
  const order: string[] = [];
  const wrong = async (node: ServerProcess) => {
    await expect(login(node, 'wrong')).rejects.toThrow();
    order.push('refused');
  };
  // The sixth waits for a second, the next one for two.
  await Promise.all(Array.from({ length: 6 }, () => wrong(a)));
  order.length = 0;
  const from = performance.now();
  const refused = wrong(b).then(() => performance.now() - from);
  const connected = login(b, secret).then((client) => {
    order.push('connected');
    return client;
  });
  expect(await refused).toBeGreaterThan(1_900);
  await (await connected).endAsync();
  expect(order).toEqual(['connected', 'refused']);
});
