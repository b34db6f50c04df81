import { describe, expect, test } from 'vitest';
import type { Transition } from '../../../domain/index.ts';
import type { Entry, Op } from '../../kit/rules/reference/journal.ts';
import { calendar, device, MINUTE, rule } from '../../kit/rules/reference/kit.ts';
import { Process } from '../../kit/rules/reference/process.ts';

/** 10:50 in Shanghai, ten minutes before the calendar of the kit ends. */
const START = Date.UTC(2026, 2, 2, 2, 50);
const reading = (id: string, value: number, ts: number): Op => ({
  kind: 'readings',
  samples: [{ id, metric: 'pm25', ts, value }],
});

/** A journal with a tick every 15 s, and the blocks that are given at their numbers of 30 s. */
function journal(length: number, blocks: (at: (n: number) => number) => Readonly<Record<number, Op>>): Entry[] {
  const at = (n: number) => START + n * 30_000;
  const given = blocks(at);
  const op = (n: number) => given[n] ?? { kind: 'tick' as const };
  return Array.from({ length: 2 * length }, (_, n) => ({ seq: n + 1, atMs: at(n / 2), op: op(n / 2) }));
}

function play(entries: readonly Entry[], restartAfter: readonly number[] = []): Transition[] {
  let engine = new Process();
  return entries.flatMap((entry) => {
    const transitions = engine.play(entry);
    if (restartAfter.includes(entry.seq)) engine = engine.restarted(entry);
    return transitions;
  });
}

describe('a process that was restarted at any two blocks', () => {
  test('ends an alert that its calendar switched off when it would have ended', () => {
    const changes = { active: 'hours', keepFiringForMs: 10 * MINUTE };
    const entries = journal(50, (at) => ({
      0: { kind: 'rules', rules: [rule(changes)], calendars: [calendar()] },
      1: { kind: 'device', device: device('a0') },
      2: reading('a0', 80, at(2)),
    }));
    const expected = play(entries);
    expect(expected.map(({ to, atMs }) => [to, (atMs - START) / MINUTE])).toEqual([
      ['firing', 1],
      ['resolved', 20],
    ]);
    for (const { seq } of entries) expect(play(entries, [seq, seq + 3]), `after ${seq}`).toEqual(expected);
  });

  test('holds what is over the limit since the same moment', () => {
    const changes = { limit: 1, forMs: 2 * MINUTE, keepFiringForMs: 0 };
    const entries = journal(30, (at) => ({
      0: { kind: 'rules', rules: [rule(changes)], calendars: [] },
      1: { kind: 'device', device: device('a0') },
      2: { kind: 'device', device: device('a1') },
      3: { kind: 'device', device: device('a2') },
      4: reading('a0', 80, at(4)),
      5: reading('a1', 80, at(5)),
      6: reading('a2', 80, at(6)),
      20: reading('a0', 10, at(20)),
      24: reading('a1', 10, at(24)),
    }));
    const expected = play(entries);
    expect(expected.map(({ group, to }) => `${group} ${to}`)).toEqual([
      'a0 pending',
      'a1 pending',
      'a2 pending',
      'a0 firing',
      '~limit firing',
      'a0 resolved',
      'a1 cancelled',
      '~limit resolved',
      'a2 firing',
    ]);
    for (const { seq } of entries) expect(play(entries, [seq, seq + 3]), `after ${seq}`).toEqual(expected);
  });
});
