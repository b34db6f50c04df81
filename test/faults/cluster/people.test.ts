import { afterEach, expect, test } from 'vitest';
import type { Person } from '../../../domain/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
afterEach(async () => {
  await cluster?.end();
});

/** Wrong passwords of one name from one address that a node checks: at once, and one more each 20 s. */
const AT_ONCE = 5;
const ONE_MORE_MS = 20_000;
const EMAIL = 'mei@city.example';

/** Guesses at one node until it refuses to check more; resolves to how many it has checked. */
async function guess(node: ServerProcess): Promise<number> {
  for (let checked = 0; ; checked++) {
    const response = await fetch(`${node.url}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: EMAIL, password: `guess ${checked} of many` }),
    });
    await response.text();
    if (response.status === 429) return checked;
    expect(response.status).toBe(403);
  }
}

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

test('people - each node of three checks as many as one alone: through all of them somebody guesses three times as often, no more', async () => {
  cluster = await new Cluster().start(3);
  const [a] = cluster.nodes as [ServerProcess];
  await a.post('/api/v1/users', MEI);
  const from = Date.now();
  const checked: number[] = [];
  for (const node of cluster.nodes) checked.push(await guess(node));
  const more = 1 + Math.floor((Date.now() - from) / ONE_MORE_MS);
  for (const one of checked) {
    expect(one).toBeGreaterThanOrEqual(AT_ONCE);
    expect(one).toBeLessThanOrEqual(AT_ONCE + more);
  }
  // What was used up at one node stays so there, whatever was tried at the others.
  expect(await guess(a)).toBeLessThanOrEqual(more);
});
