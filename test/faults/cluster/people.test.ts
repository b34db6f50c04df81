import { afterEach, expect, test } from 'vitest';
import type { Person } from '../../../domain/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
afterEach(async () => {
  await cluster?.end();
});

const EMAIL = 'mei@city.example';

const MEI = { name: 'Chen Mei', email: EMAIL, roles: [{ role: 'operator', department: null }] };

test('people - a link that one node made signs in at another one, once', async () => {
  cluster = await new Cluster().start(3);
  const [a, b, c] = cluster.nodes as [ServerProcess, ServerProcess, ServerProcess];
  const { id } = await a.post<Person>('/api/v1/users', MEI);
  const { path } = await a.post<{ path: string }>(`/api/v1/users/${id}/link`);
  const use = async (node: ServerProcess) => {
    const response = await fetch(`${node.url}/auth/link`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: path.split('#')[1] }),
    });
    return { status: response.status, body: (await response.json()) as { reason?: string; email?: string } };
  };
  // A node that has not read of them yet knows nobody.
  await until(async () => (await c.all<Person>('/api/v1/users')).length === 1, 'the person at the third node');
  expect((await use(c)).status).toBe(200);
  expect(await use(b)).toMatchObject({ status: 403, body: { reason: 'link-used' } });
});
