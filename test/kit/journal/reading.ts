import fc from 'fast-check';
import { expect } from 'vitest';
import type { Block } from '../../../domain/index.ts';
import { JournalReader, walkRecords } from '../../../journal/index.ts';
import type { Written } from './kit.ts';

/** Messages of a few devices: many short, some longer than SQLite's page, some with text beyond ASCII. */
export const messageArbitrary: fc.Arbitrary<Written> = fc.record({
  identity: fc.constantFrom('bin-1', 'bin-2', 'lamp:3', 'Straße-7'),
  topic: fc.constantFrom('devices/bin-1/readings', 'devices/bin-2/senml', 'a'),
  payload: fc.oneof(
    { weight: 8, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 40_000 }).map((length) => 'x'.repeat(length)) },
  ),
});

/** Reads all blocks of a journal's file. */
export function blocksOf(path: string): Block[] {
  const reader = new JournalReader(path).open();
  try {
    return reader.after(0, 1_000_000);
  } finally {
    reader.close();
  }
}

/** Returns the messages of a block; none for a control record. */
export function messagesOf({ kind, body }: Block): Written[] {
  if (kind !== 'messages') return [];
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const found: Written[] = [];
  const visit = (route: { identity: string; topic: string }, from: number, to: number) =>
    void found.push({ ...route, payload: bytes.toString('utf8', from, to) });
  walkRecords(bytes, (identity, topic) => ({ identity, topic }), visit);
  return found;
}

/** Checks the invariants of a journal: numbers without gaps, and time that never decreases. */
export function expectSound(blocks: readonly Block[], startsAt = 1): void {
  let first = blocks[0]?.first ?? 0;
  let receivedAt = 0;
  blocks.forEach((block, i) => {
    expect(block.seq).toBe(startsAt + i);
    expect(block.first).toBe(first);
    expect(block.receivedAt).toBeGreaterThanOrEqual(receivedAt);
    if (block.kind === 'messages') expect(messagesOf(block)).toHaveLength(block.count);
    else expect(block.count).toBe(0);
    first += block.count;
    receivedAt = block.receivedAt;
  });
}
