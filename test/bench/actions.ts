/** What an action of a person takes, alone and beside a load of messages. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ActionsControl, Ticket } from '../../domain/index.ts';
import { JournalReader } from '../../journal/index.ts';
import type { ServerProcess } from '../kit/server.ts';
import { generate, type Shape } from './load.ts';
import { lamppost } from './subjects.ts';

/** p50 and p99 of acknowledging a ticket over HTTP, ms, and of how many. */
interface Acknowledged {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The result of one run. */
export interface ActionFigures {
  readonly alone: Acknowledged;
  readonly beside: Acknowledged;
  /** Messages a second that were acknowledged beside them. */
  readonly messagesPerSecond: number;
  /** Bytes of the log for an action, the actor and the anchor of its record included. */
  readonly logBytes: number;
}

/** The load of the issue that asked for it. */
const LOAD = { connections: 50, window: 200, rate: 50_000, warmupSeconds: 2 };
/** One after another, by so many operators. */
const OPERATORS = 4;
const EVERY_MS = 50;

/** Acknowledges tickets for so long alone, and for so long beside 50,000 messages a second. */
export async function benchActions(seconds: number): Promise<ActionFigures> {
  const shape: Shape = { ...LOAD, seconds };
  const subject = await lamppost(shape.connections);
  try {
    const alone = await operate(subject.server, pause(seconds * 1_000));
    const load = generate(subject, shape);
    const beside = await operate(subject.server, load);
    await subject.settle();
    const { steady } = await load;
    return { alone, beside, messagesPerSecond: steady.perSecond, logBytes: logBytesOf(subject.server.data) };
  } finally {
    await subject.stop();
  }
}

async function operate(server: ServerProcess, end: Promise<unknown>): Promise<Acknowledged> {
  const times: number[] = [];
  let isOver = false;
  const over = end.finally(() => {
    isOver = true;
  });
  const operators = Array.from({ length: OPERATORS }, async () => {
    while (!isOver) {
      const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
      const { id } = await server.post<Ticket>('/api/v1/tickets', wanted);
      const from = performance.now();
      await server.post(`/api/v1/tickets/${id}/acknowledge`, { note: 'on my way' });
      times.push(performance.now() - from);
      await pause(EVERY_MS);
    }
  });
  await Promise.all([over, ...operators]);
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  return { count: times.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}

function logBytesOf(data: string): number {
  const journal = new JournalReader(join(data, 'journal.sqlite')).open();
  const blocks = journal.ofKind('actions', 0, 100_000);
  journal.close();
  const items = blocks.map(({ body }) => JSON.parse(Buffer.from(body).toString('utf8')) as ActionsControl);
  const bytes = blocks.reduce((sum, { body }) => sum + body.length, 0);
  return bytes / items.reduce((sum, one) => sum + one.items.length, 0);
}
