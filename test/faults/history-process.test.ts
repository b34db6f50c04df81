import { expect, test } from 'vitest';
import type { Ledger, Series } from '../../domain/index.ts';
import { generate } from '../bench/load.ts';
import { processesOf } from '../bench/process.ts';
import { type LamppostSubject, lamppost } from '../bench/subjects.ts';
import { ADMIN_KEY, type ServerProcess } from '../kit/server.ts';

const LOAD = { connections: 20, window: 20, rate: 1_000, seconds: 12 };
const READINGS_PER_MESSAGE = 3;
const ALL = '/api/v1/readings?from=1970-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&every=1d&fn=count';

async function until<T>(look: () => Promise<T | null>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const get = (server: ServerProcess, path: string) =>
  fetch(`http://127.0.0.1:${server.httpPort}${path}`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });

/** Sends the signal to the process of the history; returns what a query and /ready say while it is away. */
async function strike(server: ServerProcess, signal: NodeJS.Signals) {
  process.kill(await until(async () => processesOf(server.pid)[1] ?? null), signal);
  const ready = await until(async () => {
    const response = await get(server, '/ready');
    return response.status === 503 ? ((await response.json()) as { reasons: string[] }) : null;
  });
  const query = await get(server, ALL);
  await until(async () => ((await get(server, '/ready')).status === 200 ? true : null));
  return { reasons: ready.reasons, status: query.status };
}

async function metric(server: ServerProcess, name: string): Promise<number> {
  const text = await (await get(server, '/metrics')).text();
  return Number(new RegExp(`^lamppost_${name} (\\d+)$`, 'm').exec(text)![1]);
}

async function expectComplete({ server, settle }: LamppostSubject, acknowledged: number): Promise<void> {
  await settle();
  const { messages, readings } = await server.settledLedger();
  expect(messages.received).toBeGreaterThanOrEqual(acknowledged);
  expect(readings.stored).toBe(messages.received * READINGS_PER_MESSAGE);
  const { series } = await server.get<{ series: Series[] }>(ALL);
  const stored = series.flatMap(({ points }) => points).reduce((sum, [, value]) => sum + value!, 0);
  expect(stored, 'the history has each reading once').toBe(readings.stored);
}

test('the process of the history is killed under load - nothing acknowledged is lost or stored twice, and it comes back', async () => {
  const subject = await lamppost(LOAD.connections);
  const { server } = subject;
  try {
    const before = server.pid;
    const load = generate(subject, LOAD);
    const receivedMoreThan = (count: number) =>
      until(async () => {
        const { messages } = await server.get<Ledger>('/api/v1/ledger');
        return messages.received > count ? messages.received : null;
      });
    for (const [at, signal] of (['SIGSEGV', 'SIGKILL', 'SIGABRT'] as const).entries()) {
      // The load has begun before the first, and goes on after each.
      const received = await receivedMoreThan(0);
      const { reasons, status } = await strike(server, signal);
      expect(reasons[0]).toContain(`history: the process of the history ended (${signal})`);
      // The query may have come when it was back already.
      expect([200, 503]).toContain(status);
      expect(await metric(server, 'history_process_restarts_total')).toBe(at + 1);
      if (at === 0) await receivedMoreThan(received);
    }
    const { acknowledged } = await load;
    await expectComplete(subject, acknowledged);
    expect(server.running && server.pid === before).toBe(true);
    expect(await metric(server, 'history_process_up')).toBe(1);
  } finally {
    await subject.stop();
  }
});

test('a server that is killed takes the process of its history along, and the next start opens the file', async () => {
  const subject = await lamppost(2);
  const { server } = subject;
  try {
    const [, history] = processesOf(server.pid);
    await server.kill();
    await server.start();
    expect(processesOf(server.pid)).toHaveLength(2);
    await until(async () => (isAlive(history!) ? null : true));
  } finally {
    await subject.stop();
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
