import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CloudEvent, DeviceCommand, DeviceTwin, Page, Rule, Ticket, Transition } from '../../../domain/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import * as scene from '../../kit/tickets/scene.ts';

const title = { en: 'A', zh: '甲' };
const commands = {
  dim: { title, parameters: { level: { type: 'integer', min: 0, max: 100 } } },
  restart: { title, automatic: true },
  shut: { title, automatic: true, downlink: { port: 10, bytes: '00' } },
};
const FILES = {
  'departments.yaml': { care: { title }, roads: { title } },
  'profiles.yaml': {
    bin: { title, metrics: ['a', 'b'], interval: '1m', departments: ['care'], commands },
    radio: { title, kind: 'gateway', metrics: ['a'], interval: '1m' },
  },
  'services.yaml': {
    repair: { title, department: 'care', deadline: '1h', command: { name: 'dim', parameters: { level: 30 } } },
    reset: { title, department: 'care', deadline: '1h', reopen: '1h', command: { name: 'restart' } },
    valve: { title, department: 'care', deadline: '1h', command: { name: 'shut' } },
  },
};

let api: TestApi;
beforeAll(async () => {
  api = await openApi({}, { files: FILES });
});
afterAll(() => api.stop());

async function call<T>(method: string, path: string, body?: unknown, init: { key?: string; etag?: string } = {}) {
  const response = await api.fetch(`/api/v1${path}`, {
    ...{ method, ...(init.key === undefined ? {} : { key: init.key }) },
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(init.etag === undefined ? {} : { 'if-match': init.etag }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const value = (await response.json()) as T & { readonly reason?: string };
  return { status: response.status, etag: response.headers.get('etag'), value };
}
const send = (body: object, key?: string) =>
  call<DeviceCommand>('POST', '/devices/d1/commands', body, key === undefined ? {} : { key });

/** An alert of the device d1 opens a ticket of a service. */
async function fired(id: string, service: string, given: Partial<Transition> = {}): Promise<Ticket> {
  const rule: Rule = { ...scene.rule, id, ticket: { service, deadlineMs: 3_600_000 } };
  const transition = scene.transition(`${id}.0`, 'firing', { rule: id, group: 'd1', ...given });
  api.fire(transition, { rule, subject: { kind: 'device', device: { ...scene.device, id: 'd1' } } });
  const { value } = await call<Page<Ticket>>('GET', `/tickets?rule=${id}`);
  return value.items[0]!;
}

test('commands - are sent, listed, read and cancelled', async () => {
  const sent = await send({ command: 'dim', parameters: { level: 40 } });
  expect(sent).toMatchObject({ status: 201, value: { device: 'd1', state: 'queued', by: 'admin', ticket: null } });
  const path = `/devices/d1/commands/${sent.value.id}`;
  expect((await call('GET', path)).value).toEqual(sent.value);
  expect((await call<Page<DeviceCommand>>('GET', '/devices/d1/commands?limit=1')).value.items).toEqual([sent.value]);
  expect((await call('DELETE', path)).value).toMatchObject({ state: 'cancelled', message: 'by admin' });
  expect(await call('DELETE', path)).toMatchObject({ status: 409, value: { reason: 'command-ended' } });
  expect((await call('GET', '/devices/d1/commands/c-0-0')).status).toBe(404);
  expect((await call('GET', '/devices/d9/commands')).status).toBe(404);
});

test('commands - what the profile does not declare is refused with its reason', async () => {
  expect(await send({ command: 'dimm' })).toMatchObject({ status: 400, value: { reason: 'unknown-command' } });
  expect(await send({ command: 'dim', parameters: { level: 101 } })).toMatchObject({
    ...{ status: 400, value: { reason: 'wrong-parameters' } },
  });
  const past = { command: 'restart', validUntil: '2020-01-01T00:00:00Z' };
  expect(await send(past)).toMatchObject({ status: 400, value: { reason: 'not-valid' } });
});

test('commands - are for the departments of the device, and for who may send them', async () => {
  const as = async (role: Parameters<TestApi['key']>[0], department: string | null = null) =>
    (await send({ command: 'restart' }, api.key(role, department))).status;
  expect([await as('operator'), await as('operator', 'care'), await as('device-manager')]).toEqual([201, 201, 201]);
  expect([await as('viewer'), await as('rule-author'), await as('operator', 'roads')]).toEqual([403, 403, 403]);
});

test('commands - each is in the audit trail, and each state is an event that only its departments get', async () => {
  const { value } = await send({ command: 'restart' });
  const trail = (await call<Page<object>>('GET', '/audit?action=command.send&limit=1')).value.items;
  expect(trail).toMatchObject([{ target: 'device d1', result: 'done', actor: 'admin' }]);
  const seen = async (department: string) => {
    const { value: page } = await call<Page<{ event: CloudEvent }>>('GET', '/events?limit=1000', undefined, {
      key: api.key('viewer', department),
    });
    return page.items.filter(({ event }) => event.subject === `commands/d1/${value.id}`).length;
  };
  expect([await seen('care'), await seen('roads')]).toEqual([1, 0]);
});

test('tickets - a person confirms the command that the service names, and the ticket has it', async () => {
  const { id } = await fired('7', 'repair');
  const run = await call<DeviceCommand>('POST', `/tickets/${id}/run-command`);
  expect(run).toMatchObject({
    ...{ status: 201, value: { device: 'd1', command: 'dim', parameters: { level: 30 }, ticket: id } },
  });
  const { history } = (await call<Ticket>('GET', `/tickets/${id}`)).value;
  expect(history.at(-1)).toMatchObject({ action: 'commented', note: `sent the command ${run.value.id} to the device` });
  const other = await call<DeviceCommand>('POST', `/tickets/${id}/run-command`, { command: 'restart' });
  expect(other.value).toMatchObject({ command: 'restart', ticket: id });
  const wrong = await call('POST', `/tickets/${id}/run-command`, { command: 'dim', parameters: { level: 200 } });
  expect(wrong).toMatchObject({ status: 400, value: { reason: 'wrong-parameters' } });
  expect((await call<Ticket>('GET', `/tickets/${id}`)).value.history).toHaveLength(history.length + 1);
  // The district has the name of a device.
  const forDistricts = {
    ...scene.rule,
    id: '8',
    forEach: 'district',
    ticket: { service: 'repair', deadlineMs: 3_600_000 },
  } as const;
  const transition = scene.transition('80.0', 'firing', { rule: '80', group: 'd1' });
  const subject = { kind: 'district', id: 'd1', title } as const;
  api.fire(transition, { rule: { ...forDistricts, source: 'id: "80"\nfor_each: district\n' }, subject });
  const [ofDistrict] = (await call<Page<Ticket>>('GET', '/tickets?rule=80')).value.items;
  expect((await call('POST', `/tickets/${ofDistrict!.id}/run-command`)).status).toBe(409);
  const byHand = await call<Ticket>('POST', '/tickets', { service: 'repair', title: 'B', district: 'east' });
  expect((await call('POST', `/tickets/${byHand.value.id}/run-command`)).status).toBe(409);
});

test('tickets - a command runs by itself only where the profile says automatic', async () => {
  const ofTicket = async ({ id }: Ticket) =>
    (await call<Page<DeviceCommand>>('GET', '/devices/d1/commands')).value.items.filter(({ ticket }) => ticket === id);
  expect(await ofTicket(await fired('8', 'repair'))).toEqual([]);
  const restart = { command: 'restart', by: 'rule:9' };
  expect(await ofTicket(await fired('9', 'reset'))).toMatchObject([restart]);
  await fired('9', 'reset', { id: '10.0', from: 'firing', to: 'resolved' });
  expect(await ofTicket(await fired('9', 'reset', { id: '11.0' }))).toMatchObject([restart, restart]);
});

test('tickets - a command that cannot run by itself stops nothing: the ticket says why it was not sent', async () => {
  const { id } = await fired('12', 'valve');
  const { history } = (await call<Ticket>('GET', `/tickets/${id}`)).value;
  expect(history.at(-1)).toMatchObject({ action: 'commented', by: 'rule:12' });
  expect(history.at(-1)!.note).toMatch(/^the command shut was not sent: no uplink of the device came yet/);
  expect(await fired('13', 'reset')).toMatchObject({ status: 'open' });
});

test('desired - is set as a whole or by a merge patch, at the version that was seen', async () => {
  const path = '/devices/d1/desired';
  expect(await call<DeviceTwin>('GET', path)).toMatchObject({
    etag: '"0"',
    value: { desired: null, departments: ['care'] },
  });
  const put = await call<DeviceTwin>('PUT', path, { level: 40, mode: 'day' });
  expect(put).toMatchObject({ status: 200, etag: '"1"', value: { version: 1, drift: ['/level', '/mode'] } });
  const patch = await call<DeviceTwin>('PATCH', path, { mode: null }, { etag: '"1"' });
  expect(patch.value).toMatchObject({ version: 2, desired: { level: 40 } });
  expect(await call('PUT', path, {}, { etag: '"1"' })).toMatchObject({
    status: 412,
    value: { reason: 'desired-changed' },
  });
  expect((await call('PUT', path, {}, { key: api.key('operator', 'roads') })).status).toBe(403);
});

test('gateways - a device is registered under a gateway, moved and taken from it', async () => {
  const gateway = { id: 'gw-1', profile: 'radio', district: 'east' };
  const child = { id: 'bin-9', profile: 'bin', district: 'east', gateway: 'gw-1' };
  const made = await call('POST', '/devices', [child, gateway]);
  expect(made, 'in one array, in any order').toMatchObject({
    status: 201,
    value: [{ gateway: 'gw-1' }, { id: 'gw-1' }],
  });
  const refused = async (change: object) =>
    (await call<{ detail: string }>('PATCH', '/devices/bin-9', change)).value.detail;
  for (const wrong of ['gw-2', 'd1', 'bin-9'])
    expect(await refused({ gateway: wrong }), wrong).toContain('a registered device whose profile has kind: gateway');
  const csv = await (await api.fetch('/api/v1/devices?format=csv')).text();
  expect(csv).toMatch(/^bin-9,bin,east,.*,gw-1,,\r$/m);
  expect(await call('PATCH', '/devices/bin-9', { gateway: null })).toMatchObject({ status: 200 });
  expect((await call<object>('GET', '/devices/bin-9')).value).not.toHaveProperty('gateway');
});
