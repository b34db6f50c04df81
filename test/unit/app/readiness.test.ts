import { describe, expect, test } from 'vitest';
import { type EngineStatus, readinessOf } from '../../../app/readiness.ts';

/** A server 10 s after its start, which came when the log had 1,000 blocks; both consumers have taken all 1,020. */
const caughtUp: EngineStatus = {
  ...{ head: 1_020, atMs: 20_000, startedAt: 1_000, startedMs: 10_000, recovered: true, open: true, trouble: null },
  ...{ reached: 1_020, reachedFirst: 500, history: 1_020, historyFirst: 520 },
};

const partsOf = (status: Partial<EngineStatus>) => readinessOf({ ...caughtUp, ...status }).parts;

describe('readiness', () => {
  test('a server that has caught up is ready', () => {
    expect(readinessOf(caughtUp)).toEqual({
      ready: true,
      reasons: [],
      notes: [],
      parts: {
        devices: { state: 'ready' },
        rules: { state: 'ready', behindBlocks: 0, secondsLeft: 0 },
        history: { state: 'ready', behindBlocks: 0, secondsLeft: 0 },
      },
    });
  });

  test('rules that recover make it not ready, and say how far behind they are', () => {
    const { ready, reasons, parts } = readinessOf({ ...caughtUp, recovered: false, reached: 600 });
    expect(ready).toBe(false);
    expect(reasons).toEqual(['rules: they recover, 420 blocks behind the log']);
    // 100 blocks in 10 s.
    expect(parts.rules).toEqual({ state: 'starting', behindBlocks: 420, secondsLeft: 42 });
  });

  test('a part that is behind what was in the log at the start catches up, and is ready', () => {
    const { ready, parts } = readinessOf({ ...caughtUp, reached: 900, history: 770 });
    expect(ready).toBe(true);
    expect(parts.rules).toEqual({ state: 'catching-up', behindBlocks: 120, secondsLeft: 3 });
    expect(parts.history).toEqual({ state: 'catching-up', behindBlocks: 250, secondsLeft: 10 });
  });

  test('a history that is closed, or that waits, makes it not ready with the reason', () => {
    const closed = { open: false, history: 520 };
    expect(readinessOf({ ...caughtUp, ...closed }).reasons).toEqual(['history: it is being opened']);
    expect(partsOf(closed).history).toEqual({ state: 'starting', behindBlocks: 500, secondsLeft: null });
    const damaged = readinessOf({ ...caughtUp, ...closed, trouble: 'it cannot be opened' });
    expect(damaged.reasons).toEqual(['history: it cannot be opened']);
    expect(damaged.parts.history.state).toBe('trouble');
    expect(partsOf({ trouble: 'the disk is full' }).history.state).toBe('trouble');
  });

  test('a database that all nodes of a cluster share makes none of them unready, and its trouble is a note', () => {
    const broken = { ...caughtUp, trouble: 'it does not respond' };
    const shared = readinessOf(broken, { away: null, sharesHistory: true });
    expect(shared).toMatchObject({ ready: true, reasons: [], notes: ['history: it does not respond'] });
    expect(shared.parts.history.state).toBe('trouble');
    expect(readinessOf(broken, { away: null, sharesHistory: false }).ready).toBe(false);
  });

  test('what came in since the start is behind without being caught up with', () => {
    expect(partsOf({ reached: 1_010 }).rules).toMatchObject({ state: 'ready', behindBlocks: 10 });
  });
});
