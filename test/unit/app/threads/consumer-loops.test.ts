import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { createConsumerLoops } from '../../../../app/threads/consumer-loops.ts';
import { createSharedCounters } from '../../../../app/threads/shared-counters.ts';
import type { HistoryConsumer } from '../../../../history/index.ts';
import type { RulesConsumer } from '../../../../rules/index.ts';

test('consumer loops - a disk that is full for an hour is one line of log, and one when the rules go on', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(JSON.parse(line).msg) };
  let isFull = true;
  let steps = 0;
  const rules = {
    step() {
      steps++;
      if (isFull) throw Object.assign(new Error('database or disk is full'), { errcode: 13 });
      return [];
    },
    ...{ cursor: () => 0, checkpointed: () => 0, checkpoint() {} },
  } as Partial<RulesConsumer> as RulesConsumer;
  const history = {
    ...{ step: async () => false, gathers: () => false, needs: () => 0, cursor: () => 0, messages: () => 0 },
    trouble: () => null,
  } as Partial<HistoryConsumer> as HistoryConsumer;
  const loops = createConsumerLoops({
    counter: new Int32Array(new SharedArrayBuffer(4)),
    counters: createSharedCounters(),
    ...{ startedAt: 0, rules, history, isOpen: () => false, embedded: false, clock: { now: () => 0 } },
    ...{ onOutcomes() {}, prune() {}, taken() {}, release() {} },
    log: pino({}, sink),
  });
  const running = loops.start();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(steps).toBeGreaterThan(3_000);
  expect(lines).toEqual(['the rules wait for the disk of the state: database or disk is full']);
  isFull = false;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(lines.slice(1)).toEqual(['the rules go on']);
  vi.useRealTimers();
  await loops.stop();
  await running;
});
