import createClient from 'openapi-fetch';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { paths } from '../../console/src/api/schema.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const server = new ServerProcess();
beforeAll(() => server.start());
afterAll(() => server.kill());

test('client - one made of the OpenAPI document registers a device, reads what it sent and closes its ticket', async () => {
  const base = `http://127.0.0.1:${server.httpPort}`;
  const api = createClient<paths>({ baseUrl: base, headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const body = { id: 'bin-1', profile: 'waste-bin', district: 'harbour' };
  const registered = await api.POST('/api/v1/devices', { body });
  expect(registered.response.status).toBe(201);
  const [made] = [registered.data!].flat();
  // What a device sends is as it is: the document has no shape of it.
  const sent = await fetch(`${base}/ingest/bin-1`, {
    method: 'POST',
    headers: { authorization: `Bearer ${made!.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ metrics: { fill: 97, battery: 80 } }),
  });
  expect(sent.status).toBe(200);
  const id = await until(async () => {
    const { data } = await api.GET('/api/v1/tickets', {
      params: { query: { group: 'bin-1', sort: '-opened', limit: 1 } },
    });
    return data!.items[0]?.id;
  }, 'the ticket');
  // The history may store it after the rules have decided.
  const latest = async () => {
    const { data } = await api.GET('/api/v1/readings/latest', { params: { query: { device: ['bin-1'] } } });
    return data!.items.find(({ metric, value }) => metric === 'fill' && value === 97);
  };
  await until(latest, 'the reading');
  const acted = await api.POST('/api/v1/tickets/{id}/{action}', {
    params: { path: { id, action: 'resolve' } },
    body: { note: 'emptied' },
  });
  expect(acted.data).toMatchObject({ id, status: 'resolved' });
  // A refusal is a problem of the document, too.
  const { error } = await api.GET('/api/v1/devices/{id}', { params: { path: { id: 'nobody' } } });
  expect(error).toMatchObject({ status: 404, code: 'not-found' });
});
