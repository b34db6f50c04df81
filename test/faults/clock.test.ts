import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, type onTestFinished, test } from 'vitest';
import type { Page, Quarantined, Series, Ticket } from '../../domain/index.ts';
import type { ShownSilence } from '../../tickets/index.ts';
import { isOpen } from '../../tickets/index.ts';
import { allEvents, allTickets } from '../kit/bins.ts';
import { FakeTime } from '../kit/fake-time.ts';
import { ServerProcess } from '../kit/server.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 86_400 * SECOND;
/** How long everything lasts that must end neither early nor late. */
const LASTS = 10 * SECOND;
/** Engine time moves with the ticks, once a second. */
const COARSE = 1.5 * SECOND;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const RULES = {
  'held.yaml': `id: held
title: A bin stays full
for_each: device
where: { profile: waste-bin }
when: { metric: fill, last: true, above: 80 }
for: 10s
severity: medium
ticket: { service: waste }
`,
  'quiet.yaml': `id: quiet
title: A noise meter is silent
for_each: device
where: { profile: noise }
when: { metric: laeq, absent: 10s }
severity: low
ticket: { service: waste }
`,
};

/** The sample city with two short rules, a service with a short deadline, and another time zone. */
function shortCity(timezone: string): string {
  const city = mkdtempSync(join(tmpdir(), 'lamppost-clock-city-'));
  cpSync(fileURLToPath(new URL('../../city', import.meta.url)), city, { recursive: true });
  rmSync(join(city, 'rules'), { recursive: true });
  mkdirSync(join(city, 'rules'));
  for (const [name, text] of Object.entries(RULES)) writeFileSync(join(city, 'rules', name), text);
  const edit = (file: string, from: string, to: string) => {
    const text = readFileSync(join(city, file), 'utf8');
    expect(text).toContain(from);
    writeFileSync(join(city, file), text.replace(from, to));
  };
  edit('city.yaml', 'timezone: Asia/Shanghai', `timezone: ${timezone}`);
  edit('services.yaml', '  department: waste\n  deadline: 12h', '  department: waste\n  deadline: 10s');
  return city;
}

/** A server whose wall clock the test sets. */
class Stepped {
  readonly time: FakeTime;
  readonly server: ServerProcess;
  readonly lines: string[] = [];
  #devices = 0;

  constructor({ aheadMs = 0, timezone = 'Asia/Shanghai', settings = {} } = {}) {
    this.time = new FakeTime(aheadMs);
    const own = { LAMPPOST_CITY: shortCity(timezone), LOG_LEVEL: 'info', ...this.time.environment, ...settings };
    this.server = new ServerProcess(undefined, own);
    // Other work on the machine is no fault of the clock.
    this.server.startWithinMs = 300_000;
    this.server.onOutput = (text) => void this.lines.push(...text.split('\n').filter((line) => line !== ''));
  }

  async device(profile: string): Promise<{ id: string; secret: string }> {
    return this.server.post('/api/v1/devices', { id: `${profile}-${++this.#devices}`, profile, district: 'old-town' });
  }

  /** Sends one reading; without a time it counts as taken when it is received. */
  async send({ id, secret }: { id: string; secret: string }, metrics: object, ts?: number): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.server.httpPort}/ingest/${id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ metrics, ts }),
    });
    expect(await response.text()).toContain('acknowledged');
  }

  ready = () => this.server.get<{ ready: boolean; reasons: string[] }>('/ready');

  /** Resolves when an event is there; the test's own limit is the only one. */
  async event(type: string, subject: string): Promise<void> {
    const found = async () =>
      (await allEvents(this.server)).some(({ event }) => event.type === type && event.subject === subject);
    while (!(await found())) await pause(100);
  }

  async metric(name: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.server.httpPort}/metrics`, {
      headers: { authorization: 'Bearer a-key-for-tests-that-is-long-enough-0123456789' },
    });
    return Number(new RegExp(`^lamppost_${name} (\\S+)$`, 'm').exec(await response.text())![1]);
  }
}

type Finished = typeof onTestFinished;

async function started(finished: Finished, options: ConstructorParameters<typeof Stepped>[0] = {}): Promise<Stepped> {
  const one = new Stepped(options);
  finished(async () => {
    if (one.server.running) await one.server.kill();
  });
  await one.server.start();
  return one;
}

/**
 * Begins a `for`, an `absent`, a deadline and a silence, lets `meanwhile` happen, and waits for their ends. Returns how
 * long each took of the test's own time, ms.
 */
async function durations(one: Stepped, meanwhile: () => void): Promise<Record<string, number>> {
  const { server, time } = one;
  const [bin, meter] = [await one.device('waste-bin'), await one.device('noise')];
  const begun: Record<string, number> = {};
  const from = async <T>(name: string, work: Promise<T>): Promise<T> => {
    begun[name] = performance.now();
    return await work;
  };
  await from('for', one.send(bin, { fill: 95 }));
  await from('absent', one.send(meter, { laeq: 50 }));
  const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
  const { id } = await from('deadline', server.post<Ticket>('/api/v1/tickets', wanted));
  const endsAt = new Date(time.now() + LASTS).toISOString();
  const body = { matchers: { device: [bin.id] }, endsAt, comment: 'work' };
  const silence = await from('silence', server.post<ShownSilence>('/api/v1/silences', body));
  meanwhile();
  const took: Record<string, number> = {};
  const until = async (name: string, done: Promise<void>) => {
    await done;
    took[name] = performance.now() - begun[name]!;
  };
  await Promise.all([
    until('for', one.event('city.lamppost.alert.firing', `alerts/held/${bin.id}`)),
    until('absent', one.event('city.lamppost.alert.firing', `alerts/quiet/${meter.id}`)),
    until('deadline', one.event('city.lamppost.ticket.escalated', `tickets/${id}`)),
    until('silence', one.event('city.lamppost.silence.ended', `silences/${silence.id}`)),
  ]);
  return took;
}

function expectNoneEarly(took: Record<string, number>): void {
  for (const [name, ms] of Object.entries(took)) expect([name, ms >= LASTS - COARSE]).toEqual([name, true]);
}

/** Requests while a test runs; each must get its response. */
function knocking({ server }: Stepped) {
  let stopped = false;
  let count = 0;
  // Fails with the stop of the test that it belongs to.
  const loop = (async () => {
    while (!stopped && server.running) {
      const response = await fetch(`http://127.0.0.1:${server.httpPort}/health`);
      expect(response.status).toBe(200);
      count++;
      await pause(100);
    }
  })();
  loop.catch(() => {});
  return {
    async stop(): Promise<number> {
      stopped = true;
      await loop;
      return count;
    },
  };
}

const stored = async ({ server }: Stepped, device: string, fromMs: number, toMs: number) => {
  const query = `device=${device}&metric=fill&from=${fromMs}&to=${toMs}`;
  const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?${query}`);
  return (series[0]?.points ?? []).map(([, value]) => value);
};

// Each has a server and a time of its own, and waits most of its time.
describe.concurrent('clock', () => {
  test.for([
    ['a second', SECOND],
    ['a minute', MINUTE],
    ['eight days', 8 * DAY],
  ] as const)('set ahead by %s and back: durations are as long as they are', async ([, byMs], { onTestFinished }) => {
    const one = await started(onTestFinished);
    const { server, time } = one;
    const health = knocking(one);
    expectNoneEarly(await durations(one, () => time.set(byMs)));
    expectNoneEarly(await durations(one, () => time.set(0)));
    expect(await health.stop()).toBeGreaterThan(0);
    while ((await one.metric('clock_steps_total')) < 2) await pause(100);
    expect(Math.abs(await one.metric('clock_offset_seconds'))).toBeLessThan(1);

    // After the clock is right again nothing is refused, and rules see it.
    const bin = await one.device('waste-bin');
    const now = Date.now();
    await one.send(bin, { fill: 95 }, now);
    await one.event('city.lamppost.alert.firing', `alerts/held/${bin.id}`);
    expect(await stored(one, bin.id, now - MINUTE, now + MINUTE)).toEqual([95]);
    expect((await server.get<Page<Quarantined>>('/api/v1/quarantine')).items).toEqual([]);
    expect(one.lines.filter((line) => line.includes('the wall clock was set'))).toHaveLength(2);
    // A line a ticket or a job is usual; a line a missed second would be thousands.
    expect(one.lines.length).toBeLessThan(200);

    // What comes due while the server is down would be a difference: the deadlines are over before.
    const isOver = ({ status, escalatedTo }: Ticket) => escalatedTo.length > 0 || !isOpen(status);
    while (!(await allTickets(server)).every(isOver)) await pause(100);
    // A replay meets the same steps.
    const shownNow = async () => [await allTickets(server), await server.get('/api/v1/alerts')];
    await server.settledLedger();
    const before = await shownNow();
    await server.kill();
    await server.start();
    await server.settledLedger();
    expect(await shownNow()).toEqual(before);
  });

  test('a start in 1970 goes on with the time of the log, says so, and takes readings', async ({ onTestFinished }) => {
    const one = await started(onTestFinished);
    const { server, time } = one;
    const bin = await one.device('waste-bin');
    await one.send(bin, { fill: 10 });
    await server.settledLedger();
    await server.stop();

    time.set(-Date.now());
    const restarted = Date.now();
    await server.start();
    expect(await one.ready()).toMatchObject({
      ready: true,
      reasons: [expect.stringContaining('before Lamppost existed')],
    });
    await one.event('city.lamppost.clock.doubted', 'clock');
    expect(await one.metric('clock_doubted')).toBe(1);
    await one.send(bin, { fill: 20 });
    await one.send(bin, { fill: 30 }, Date.now());
    await server.settledLedger();

    time.set(0);
    while ((await one.ready()).reasons.length > 0) await pause(100);
    expectNoneEarly(await durations(one, () => {}));
    await server.settledLedger();
    expect(await stored(one, bin.id, restarted - MINUTE, Date.now() + MINUTE)).toEqual(
      expect.arrayContaining([10, 20, 30]),
    );
    expect((await server.get<Page<Quarantined>>('/api/v1/quarantine')).items).toEqual([]);
  });

  test('a start in 2099 waits for a correction; one that gets none goes on there, and comes back', async ({
    onTestFinished,
  }) => {
    const one = await started(onTestFinished, { settings: { LAMPPOST_CLOCK_WAIT_SECONDS: '3600' } });
    const { server, time } = one;
    const bin = await one.device('waste-bin');
    const far = Date.UTC(2099, 0, 1) - Date.now();
    await server.stop();

    time.set(far);
    await server.start();
    expect((await one.ready()).reasons).toEqual([expect.stringContaining('30 days ahead')]);
    await one.send(bin, { fill: 20 }, Date.now());
    time.set(0);
    while ((await one.ready()).reasons.length > 0) await pause(100);
    await server.stop();

    server.settings.LAMPPOST_CLOCK_WAIT_SECONDS = '0';
    time.set(far);
    await server.start();
    expect((await one.ready()).reasons).toEqual([]);
    while ((await one.metric('clock_steps_total')) < 1) await pause(100);
    expectNoneEarly(await durations(one, () => time.set(0)));
    await one.send(bin, { fill: 30 }, Date.now());
    await server.settledLedger();
    expect(await stored(one, bin.id, Date.now() - 10 * MINUTE, Date.now() + MINUTE)).toEqual([20, 30]);
    expect((await server.get<Page<Quarantined>>('/api/v1/quarantine')).items).toEqual([]);
  });

  test.for([
    ['spring', Date.UTC(2027, 2, 28, 1)],
    ['autumn', Date.UTC(2027, 9, 31, 1)],
  ] as const)(
    'the change of the clocks in %s is no step, and changes no duration',
    async ([, changeMs], { onTestFinished }) => {
      const one = await started(onTestFinished, {
        aheadMs: changeMs - Date.now() - 15 * SECOND,
        timezone: 'Europe/Berlin',
      });
      const health = knocking(one);
      expectNoneEarly(await durations(one, () => {}));
      while (one.time.now() < changeMs + 2 * SECOND) await pause(100);
      expectNoneEarly(await durations(one, () => {}));
      expect(await health.stop()).toBeGreaterThan(0);
      expect(await one.metric('clock_steps_total')).toBe(0);
      expect(one.lines.length).toBeLessThan(200);
    },
  );
});
