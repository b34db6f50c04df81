import { test } from 'vitest';
import { openApi } from './api-kit.ts';
const J = { 'content-type': 'application/json' };
const post = (body: unknown) => ({ method: 'POST', headers: J, body: typeof body === 'string' ? body : JSON.stringify(body) });
test('x', async () => {
  const api = await openApi();
  api.incidents(10);
  for (const [path, init] of [
    ['/api/v1/devices', post({ id: 'has space', profile: 'bin', district: 'east' })],
    ['/api/v1/devices', post([{ id: 'ok', profile: 'bin', district: 'east' }, { id: 'ok2', profile: 'bin' }])],
    ['/api/v1/devices', post([{ id: 'ok', profile: 'bin', district: 'east' }, { id: 'ok', profile: 'bin', district: 'east' }])],
    ['/api/v1/devices', post([])],
    ['/api/v1/devices', post('{')],
    ['/api/v1/devices', post('')],
    ['/api/v1/devices', post('null')],
    ['/api/v1/devices', post({ id: 'x', profile: 'bin', district: 'east', more: 1 })],
    ['/api/v1/devices', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }],
    ['/api/v1/devices', post('"' + 'x'.repeat(9e6) + '"')],
    ['/api/v1/devices?limit=0', {}],
    ['/api/v1/devices?limit=abc', {}],
    ['/api/v1/devices/nobody', {}],
    ['/api/v1/devices/nobody', { method: 'DELETE' }],
    ['/api/v1/devices/nobody/rotate', { method: 'POST' }],
    ['/api/v1/readings?from=yesterday', {}],
    ['/api/v1/readings?from=2026-02-30T00:00:00Z', {}],
    ['/api/v1/readings?every=5', {}],
    ['/api/v1/readings?every=104249991d', {}],
    ['/api/v1/readings?every=99999999999d', {}],
    ['/api/v1/readings?fn=median', {}],
    ['/api/v1/readings?from=10&to=5', {}],
    ['/api/v1/readings?devices=d1', {}],
    ['/api/v1/readings?from=0&to=9007199254740993', {}],
    ['/api/v1/readings?from=0&to=99999999999999999999999', {}],
    ['/api/v1/readings?from=0&maxPoints=3', {}],
    ['/api/v1/readings?from=1&from=2', {}],
    ['/api/v1/readings/latest?device=d1,d1', {}],
    ['/api/v1/quarantine?after=abc', {}],
    ['/api/v1/quarantine?reason=bad', {}],
    ['/api/v1/quarantine/abc', {}],
    ['/api/v1/quarantine/9999-0', {}],
    ['/api/v1/quarantine/replay', post({ ids: [] })],
    ['/api/v1/quarantine/replay', post({ reason: 'x' })],
    ['/api/v1/quarantine/replay', post({ idz: ['1-0'] })],
    ['/api/v1/quarantine/discard', post({ ids: ['1-0'] })],
    ['/api/v1/quarantine/replays/x', {}],
    ['/api/v1/rules/nope', {}],
    ['/api/v1/alerts?state=bad', {}],
    ['/api/v1/alerts?after=abc', {}],
    ['/api/v1/tickets?after=abc', {}],
    ['/api/v1/tickets?status=bad', {}],
    ['/api/v1/tickets/nope', {}],
    ['/api/v1/tickets/%00', {}],
    ['/api/v1/tickets/%ff', {}],
    ['/api/v1/events?after=abc', {}],
    ['/api/v1/events?after=-5&limit=1', {}],
    ['/api/v1/events?after=1.5&limit=1', {}],
    ['/api/v1/events?type=x', {}],
    ['/api/v1/ledger?device=nobody', {}],
    ['/api/v1/ledger?device=a&device=b', {}],
    ['/api/v1/keys', post({ name: '', role: 'boss' })],
    ['/api/v1/keys/nope', { method: 'DELETE' }],
    ['/api/v1/nothing', {}],
    ['/api/v1/devices', { method: 'PUT' }],
    ['/api/v1/city/reload', { method: 'POST' }],
    ['/ready', {}],
    ['/ingest/d1', post('{}')],
    ['/ingest/d1', post('x'.repeat(5000))],
  ] as [string, RequestInit][]) {
    const r = await api.fetch(path, init);
    console.log(r.status, (r.headers.get('content-type') ?? '').slice(0, 24), init.method ?? 'GET', path, (await r.text()).slice(0, 420));
  }
  await api.stop();
});
