import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page, Ticket } from '../../../domain/index.ts';
import type { ListedRule, RuleVersion, Suggestions, TrialReport } from '../../../rules/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import * as scene from '../../kit/tickets/scene.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());

const yaml = (id: string, above: number, more = '') =>
  `id: ${id}\ntitle: A at {{device.name}}\nwhen: { metric: a, last: true, above: ${above} }\nseverity: low\n${more}`;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    detail?: string;
    code?: string;
    reason?: string;
    errors?: { line: number; column: number; message: string }[];
  } & Partial<ListedRule>;
}

async function send(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const type = typeof body === 'string' ? 'application/yaml' : 'application/json';
  const response = await api.fetch(path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': type }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
}
const get = async <T>(path: string): Promise<T> => (await api.fetch(path)).json() as Promise<T>;

describe('rules of the API', () => {
  test('a rule is created from YAML, from a text with a note, or from an object', async () => {
    const plain = await send('POST', '/api/v1/rules?note=first', yaml('plain', 10));
    expect(plain).toMatchObject({
      status: 201,
      body: {
        id: 'plain',
        number: 1,
        origin: 'api:admin',
        readOnly: false,
        inForce: true,
        problems: [],
        severity: 'low',
      },
    });
    expect(plain.headers.get('location')).toBe('/api/v1/rules/plain');
    expect(plain.headers.get('etag')).toBe(`"${plain.body.version}"`);
    expect((await send('POST', '/api/v1/rules', { text: yaml('noted', 10), note: 'why' })).status).toBe(201);
    const object = { id: 'object', title: 'A', when: { metric: 'a', last: true, above: 10 }, severity: 'low' };
    expect((await send('POST', '/api/v1/rules', object)).status).toBe(201);
    expect((await get<ListedRule>('/api/v1/rules/plain')).source).toBe(yaml('plain', 10));
    expect((await get<Page<RuleVersion>>('/api/v1/rules/noted/history')).items).toMatchObject([
      { number: 1, note: 'why' },
    ]);
  });

  test('an editor gets every mistake with its line, and nothing is stored', async () => {
    const text = yaml('checked', 10).replace('metric: a', 'metric: nope');
    const found = await send('POST', '/api/v1/rules/check', { text });
    expect(found.status).toBe(200);
    expect(found.body.problems).toMatchObject([{ line: 3, message: expect.stringContaining('nope') }]);
    expect((await send('POST', '/api/v1/rules/check', { text: yaml('checked', 10) })).body.problems).toEqual([]);
    const blind = yaml('checked', 10).replace(/when: .*/, 'when: { metric: a, jump: { by: 5, within: 1s } }');
    const warned = await send('POST', '/api/v1/rules/check', { text: blind });
    const never = { line: 3, message: expect.stringMatching(/^can never decide, .*; write within: /) };
    expect(warned.body).toMatchObject({ problems: [], warnings: [never] });
    expect((await send('GET', '/api/v1/rules/checked')).status).toBe(404);
    expect((await send('POST', '/api/v1/rules', blind.replace('checked', 'blind'))).body).toMatchObject({
      warnings: [never],
    });
    const schema = await get<{ properties: object }>('/schemas/rule.json');
    expect(Object.keys(schema.properties)).toContain('keep_firing_for');
  });

  test('the alerts that fired in the last days are counted by rule', async () => {
    await send('POST', '/api/v1/rules', yaml('counted', 50));
    api.send({ ts: Date.now(), metrics: { a: 70 } });
    const { counts } = await get<{ counts: { rule: string; fired: number }[] }>('/api/v1/alerts/fired?days=1');
    expect(counts.find(({ rule }) => rule === 'counted')?.fired).toBe(1);
    await send('DELETE', '/api/v1/rules/counted');
  });

  test('a rule may have any name: no address of another resource hides it', async () => {
    for (const id of ['fired', 'check', 'try', 'suggest', 'backtest', 'history']) {
      await send('POST', '/api/v1/rules', yaml(id, 50));
      expect((await get<ListedRule>(`/api/v1/rules/${id}`)).id).toBe(id);
      await send('DELETE', `/api/v1/rules/${id}`);
    }
  });

  test('the list has the rules of files and API together, in order, in pages', async () => {
    const all = await get<Page<ListedRule>>('/api/v1/rules');
    const ids = all.items.map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted());
    expect(all.items.find(({ id }) => id === 'r1')).toMatchObject({
      origin: 'file:rules/r1.yaml',
      readOnly: true,
      inForce: true,
    });
    const first = await get<Page<ListedRule>>('/api/v1/rules?limit=1');
    const rest = await get<Page<ListedRule>>(`/api/v1/rules?after=${first.next}`);
    expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(ids);
    expect(rest.next).toBeNull();
  });

  test('every mistake is reported with its line and column', async () => {
    const text = 'id: bad\ntitle: A\nwhen: { metric: aa, last: true, above: 10 }\nseverity: loud\n';
    const response = await send('POST', '/api/v1/rules', text);
    expect(response).toMatchObject({ status: 422, body: { code: 'mistakes', reason: 'rule-mistakes' } });
    expect(response.body.errors!.map(({ line }) => line).sort()).toEqual([3, 4]);
    expect(response.body.errors!.map(({ message }) => message).join()).toMatch(/aa.*|loud/);
    expect((await send('POST', '/api/v1/rules', {})).status).toBe(422);
    expect((await send('POST', '/api/v1/rules', '{"when": [')).status).toBe(422);
    expect((await send('POST', '/api/v1/rules', { text: 5 })).status).toBe(400);
  });

  test('a rule that exists is not created again, and one from a file is read-only', async () => {
    expect(await send('POST', '/api/v1/rules', yaml('plain', 11))).toMatchObject({
      status: 409,
      body: { reason: 'rule-exists' },
    });
    const file = { reason: 'rule-in-file', detail: expect.stringContaining('edit rules/r1.yaml') };
    expect(await send('POST', '/api/v1/rules', yaml('r1', 11))).toMatchObject({ status: 409, body: file });
    expect(await send('PUT', '/api/v1/rules/r1', yaml('r1', 11))).toMatchObject({ status: 403, body: file });
    expect(await send('DELETE', '/api/v1/rules/r1')).toMatchObject({ status: 403, body: file });
    expect((await get<Page<RuleVersion>>('/api/v1/rules/r1/history')).items).toMatchObject([
      { number: null, at: null },
    ]);
  });

  test('a new version is a new number; If-Match refuses where it has changed since', async () => {
    const made = await send('POST', '/api/v1/rules', yaml('versions', 10));
    const second = await send('PUT', '/api/v1/rules/versions?note=stricter', yaml('versions', 20), {
      'if-match': made.headers.get('etag')!,
    });
    expect(second).toMatchObject({ status: 200, body: { number: 2 } });
    const stale = await send('PUT', '/api/v1/rules/versions', yaml('versions', 30), {
      'if-match': made.headers.get('etag')!,
    });
    expect(stale).toMatchObject({ status: 412, body: { code: 'precondition', reason: 'rule-changed' } });
    expect(await send('DELETE', '/api/v1/rules/versions', undefined, { 'if-match': '"nope"' })).toMatchObject({
      status: 412,
    });
    const current = second.headers.get('etag')!;
    expect(await send('DELETE', '/api/v1/rules/versions', undefined, { 'if-match': `W/${current}` })).toMatchObject({
      status: 412,
    });
    expect(await send('DELETE', '/api/v1/rules/versions', undefined, { 'if-match': current.slice(1) })).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('in double quotes') },
    });
    expect(await send('PUT', '/api/v1/rules/versions', yaml('other', 1))).toMatchObject({
      status: 400,
      body: { reason: 'rule-id' },
    });
    expect((await send('DELETE', '/api/v1/rules/versions', undefined, { 'if-match': '*' })).status).toBe(204);
    expect((await send('GET', '/api/v1/rules/versions')).status).toBe(404);
    expect((await send('PUT', '/api/v1/rules/versions', yaml('versions', 1))).status).toBe(404);
    expect((await send('DELETE', '/api/v1/rules/versions')).status).toBe(404);
    expect((await send('POST', '/api/v1/rules', yaml('versions', 40))).body.number).toBe(4);
    const { items } = await get<Page<RuleVersion>>('/api/v1/rules/versions/history');
    expect(
      items.map(({ number, by, note, text }) => [number, by, note, text && /above: (\d+)/.exec(text)![1]]),
    ).toEqual([
      [4, 'admin', '', '40'],
      [3, 'admin', '', null],
      [2, 'admin', 'stricter', '20'],
      [1, 'admin', '', '10'],
    ]);
  });

  test('only an admin changes rules; an operator may try them', async () => {
    const operator = { authorization: `Bearer ${api.key('operator')}` };
    for (const [method, path] of [
      ['POST', '/api/v1/rules'],
      ['PUT', '/api/v1/rules/plain'],
      ['DELETE', '/api/v1/rules/plain'],
    ]) {
      const init = {
        method: method!,
        headers: { ...operator, 'content-type': 'application/yaml' },
        body: yaml('op', 1),
        key: null,
      };
      expect((await api.fetch(path!, init)).status, method).toBe(403);
    }
    const body = JSON.stringify({ rule: 'r1', device: 'd1', readings: [{ metrics: { a: 1 } }] });
    const init = { method: 'POST', headers: { ...operator, 'content-type': 'application/json' }, body, key: null };
    expect((await api.fetch('/api/v1/rules/try', init)).status).toBe(200);
  });
});

describe('try', () => {
  const T = Date.UTC(2026, 0, 5, 8);
  const minute = (n: number) => T + n * 60_000;
  const tried = async (body: object) => {
    const { status, body: report } = await send('POST', '/api/v1/rules/try', body);
    expect(report.detail).toBeUndefined();
    expect(status).toBe(200);
    return report as unknown as TrialReport;
  };
  const slow = yaml('slow', 50, 'for: 10m\nkeep_firing_for: 5m\n');

  test('a rule given as text is tried reading by reading: what it would do, since when, and why', async () => {
    const a = (n: number, value: unknown) => ({ ts: minute(n), metrics: { a: value } });
    const { steps, before, ...report } = await tried({
      rule: slow,
      device: 'd1',
      readings: [a(0, 10), a(1, 60), a(5, 'loud'), a(11, 70), a(12, 40)],
      context: false,
    });
    expect(report).toMatchObject({ group: 'd1', context: null, rule: { id: 'slow', origin: 'api:admin' } });
    expect(before).toMatchObject({ state: 'inactive', reason: 'no-reading' });
    expect(steps.map(({ would }) => would)).toEqual([
      'does not match',
      `would fire at ${new Date(minute(11)).toISOString()} if it stays so`,
      'is refused: it changes nothing',
      'fires',
      `no longer matches; resolves at ${new Date(minute(17)).toISOString()} if it stays so`,
    ]);
    expect(steps.map(({ explanation }) => explanation.reason)).toEqual([
      'not-matching',
      'waiting-for',
      'waiting-for',
      'firing',
      'firing-kept',
    ]);
    expect(steps[2]!.refused).toMatchObject([{ reason: 'not-a-number', path: '$.metrics.a' }]);
    expect(steps[1]).toMatchObject({
      explanation: { text: { zh: '条件成立，但持续时间不足' }, since: new Date(minute(1)).toISOString() },
    });
    expect(steps.flatMap(({ transitions }) => transitions.map(({ to, at }) => `${to} ${at}`))).toEqual([
      `pending ${new Date(minute(1)).toISOString()}`,
      `firing ${new Date(minute(11)).toISOString()}`,
    ]);
  });

  test("the device's stored readings come first, as far back as the rule looks", async () => {
    const T0 = 1_700_000_000_000;
    const rule = yaml('mean', 9).replace('last: true', 'mean: 10m');
    const readings = [{ ts: T0 + 1_000, metrics: { a: 20 } }];
    const alone = await tried({ rule, device: 'd1', readings, context: false });
    expect(alone.steps[0]!.explanation.clauses).toMatchObject([{ count: 1, value: 20, metric: 'a', threshold: 9 }]);
    const within = await tried({ rule, device: 'd1', readings });
    expect(within.context).toMatchObject({ readings: 12, devices: 1, cut: false });
    expect(within.steps[0]!.explanation.clauses[0]!.count).toBe(13);
    expect(within.steps[0]!.would).toBe('does not match');
  });

  test('a message is decoded and validated as it would be live', async () => {
    const message = {
      topic: 'devices/d1/readings',
      payload: [{ metrics: { a: 95 } }, { ts: 5, metrics: { a: 1, z: 2 } }],
    };
    const { steps } = await tried({ rule: 'r1', device: 'd1', message });
    expect(
      steps.map(({ reading, refused, would }) => [reading.path, refused.map(({ reason }) => reason), would]),
    ).toEqual([
      ['$[0]', [], 'fires'],
      ['$[1]', ['too-old', 'too-old'], 'is refused: it changes nothing'],
    ]);
    const broken = await tried({ rule: 'r1', device: 'd1', message: { topic: 'devices/d1/readings', payload: '{' } });
    expect(broken.steps).toMatchObject([{ refused: [{ reason: 'malformed' }] }]);
    const unknown = await tried({ rule: 'r1', device: 'd1', message: { topic: 'devices/d1/nothing', payload: '{}' } });
    expect(unknown.steps).toMatchObject([{ refused: [{ reason: 'unknown-topic' }] }]);
  });

  test.each([
    [{ rule: 'nope', device: 'd1', readings: [{}] }, 404, /no rule "nope"/],
    [{ rule: 'r1', device: 'ghost', readings: [{}] }, 404, /no device "ghost"/],
    [{ rule: 'r1', device: 'd1' }, 400, /either readings or message/],
    [{ rule: 'id: x\n', device: 'd1', readings: [{}] }, 422, /mistakes/],
    [{ rule: 'r1', device: 'd1', message: { topic: 'devices/d2/readings', payload: {} } }, 400, /of device "d2"/],
  ])('%j is refused', async (body, status, detail) => {
    const response = await send('POST', '/api/v1/rules/try', body);
    expect(response.body.detail).toMatch(detail);
    expect(response.status).toBe(status);
  });

  test('leaves no trace: no alert, no event, no rule', async () => {
    const before = await get<Page<unknown>>('/api/v1/events');
    await tried({ rule: 'r1', device: 'd1', readings: [{ metrics: { a: 99 } }] });
    expect(await get<Page<unknown>>('/api/v1/events')).toEqual(before);
    expect((await send('GET', '/api/v1/rules/slow')).status).toBe(404);
  });
});

describe('suggest', () => {
  const suggest = (body: object) => send('POST', '/api/v1/rules/suggest', body);

  test('settings from quiet to noisy, with what each would have done; nothing is held out of one incident', async () => {
    const span = { from: '2023-11-01', to: '2023-12-01' };
    const incident = { device: 'd1', ...span };
    const { status, body } = await suggest({ metric: 'a', profile: 'bin', ...span, incidents: [incident] });
    expect(status).toBe(200);
    const { settings, readings: count, ...found } = body as unknown as Suggestions;
    expect(found).toMatchObject({ metric: 'a', profile: 'bin', incidents: 1, heldOut: [], cut: false });
    expect(count).toBeGreaterThan(0);
    const alerts = settings.map(({ score }) => score.alerts);
    expect(alerts).toEqual(alerts.toSorted((x, y) => x - y));
    expect(new Set(settings.map(({ kind }) => kind))).toEqual(new Set(['threshold', 'jump', 'anomaly']));
    expect(await suggest({ metric: 'a', profile: 'bin' })).toMatchObject({ status: 200, body: { incidents: 0 } });
  });

  test('a ticket that somebody acknowledged is an incident, one that ended with its alert is none', async () => {
    const rule = { ...scene.rule, ticket: { service: 'repair', deadlineMs: 3_600_000 } };
    const subject = { kind: 'device', device: { ...scene.device, id: 'd1', profile: 'bin' } } as const;
    const fire = (id: string, to: 'firing' | 'resolved') =>
      api.fire(scene.transition(id, to, { group: 'd1', atMs: Date.now() }), { rule, subject });
    const incidents = async () => (await suggest({ metric: 'a', profile: 'bin' })).body as unknown as Suggestions;
    fire('901.0', 'firing');
    fire('902.0', 'resolved');
    expect((await incidents()).incidents).toBe(0);
    fire('903.0', 'firing');
    const { items } = await get<Page<Ticket>>('/api/v1/tickets?group=d1&status=open');
    expect((await send('POST', `/api/v1/tickets/${items[0]!.id}/acknowledge`, {})).status).toBe(200);
    expect((await incidents()).incidents).toBe(1);
  });

  test.each<[object, RegExp]>([
    [{ metric: 'a', profile: 'q' }, /unknown profile "q"/],
    [{ metric: 'z', profile: 'bin' }, /unknown metric "z"/],
    [{ metric: 'a', profile: 'bin', from: '2026-02-01', to: '2026-01-01' }, /from: it must be before to/],
    [{ metric: 'a' }, /profile/],
  ])('%j is refused', async (body, detail) => {
    const response = await suggest(body);
    expect([response.status, response.body.detail]).toEqual([400, expect.stringMatching(detail)]);
  });
});

describe('explain', () => {
  test('an alert is explained, also if it never fired', async () => {
    await send('POST', '/api/v1/rules', yaml('why', 50, 'for: 5m\n'));
    const before = await get<{ state: string; explanation: object }>('/api/v1/alerts/why/d1');
    expect(before).toMatchObject({ state: 'inactive', explanation: { reason: 'no-reading' } });
    const now = Date.now() + 1_000;
    api.send({ ts: now, metrics: { a: 60 } });
    expect(await get('/api/v1/alerts/why/d1')).toMatchObject({
      state: 'pending',
      severity: 'low',
      explanation: {
        reason: 'waiting-for',
        text: { en: expect.stringContaining('not held long enough') },
        due: new Date(now + 300_000).toISOString(),
        clauses: [{ path: 'when', metric: 'a', verdict: 'true', value: 60, op: 'above', threshold: 50 }],
      },
    });
    expect((await send('GET', '/api/v1/alerts/nope/d1')).status).toBe(404);
  });

  test('a device is explained by every rule about it', async () => {
    const { items } = await get<Page<{ rule: string; reason: string; title: string }>>('/api/v1/devices/d1/explain');
    expect(items.map(({ rule }) => rule)).toContain('r1');
    expect(items.find(({ rule }) => rule === 'r1')).toMatchObject({ reason: 'not-matching', title: 'A' });
    expect((await send('GET', '/api/v1/devices/ghost/explain')).status).toBe(404);
  });

  test('an alert of a deleted rule has no explanation', async () => {
    await send('POST', '/api/v1/rules', yaml('gone', 50));
    api.send({ ts: Date.now(), metrics: { a: 70 } });
    expect(await get('/api/v1/alerts/gone/d1')).toMatchObject({ state: 'firing', explanation: { reason: 'firing' } });
    expect((await send('DELETE', '/api/v1/rules/gone')).status).toBe(204);
    expect(await get('/api/v1/alerts/gone/d1')).toMatchObject({ state: 'resolved', explanation: null });
  });
});
