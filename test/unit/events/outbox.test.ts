import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../../domain/index.ts';
import { ticketEventOf } from '../../../events/index.ts';
import { ticketOf, transition } from '../tickets/scene.ts';
import { openState } from './state.ts';

/** An outbox that holds the event of a new ticket for each of `1.0`, `2.0` … */
function stateWith(events: number) {
  const state = openState();
  for (let i = 1; i <= events; i++) state.outbox.append(opened(i));
  return state;
}

const opened = (i: number) => ticketEventOf(ticketOf(`${i}.0`, { group: `air-${i}` }));
const numbers = (events: readonly { n: number }[]) => events.map(({ n }) => n);

test('outbox - numbers events without gaps and gives them back as they were', () => {
  const state = stateWith(2);
  expect(state.outbox.append(opened(3))).toBe(3);
  expect(state.outbox.pending(9).map(({ event }) => event)).toEqual([opened(1), opened(2), opened(3)]);
});

test('outbox - a rolled back event leaves no gap', () => {
  const state = stateWith(1);
  state.db.exec('begin');
  state.outbox.append(opened(2));
  state.db.exec('rollback');
  expect(state.outbox.append(opened(3))).toBe(2);
});

test('outbox - the same event is not added twice', () => {
  const state = stateWith(1);
  expect(() => state.outbox.append(opened(1))).toThrow(/UNIQUE/);
});

test('outbox - what was not noted as published is pending again', () => {
  const { outbox } = stateWith(4);
  expect(numbers(outbox.pending(2))).toEqual([1, 2]);
  expect(numbers(outbox.pending(2))).toEqual([1, 2]);
  expect(numbers(outbox.pending(2, 2))).toEqual([3, 4]);
  outbox.published(3);
  expect(numbers(outbox.pending(2))).toEqual([4]);
  outbox.published(1);
  expect(outbox.publishedTo()).toBe(3);
});

test('outbox - pruning keeps the newest and whatever is unpublished', () => {
  const { outbox, events } = stateWith(5);
  outbox.published(2);
  expect(outbox.prune(1)).toBe(2);
  expect([events.oldest(), events.head()]).toEqual([3, 5]);
  outbox.published(5);
  expect(outbox.prune(2)).toBe(1);
  expect(outbox.prune(0)).toBe(1);
  expect([events.oldest(), events.head()]).toEqual([5, 5]);
  expect(outbox.append(opened(6))).toBe(6);
});

test('outbox - an empty one has neither head nor oldest', () => {
  const { events } = openState();
  expect([events.oldest(), events.head(), events.page({ after: 0, limit: 9 })]).toEqual([
    0,
    0,
    { items: [], next: null },
  ]);
});

test('outbox - pages go on where the last one ended', () => {
  const { events } = stateWith(5);
  const first = events.page({ after: 0, limit: 2 });
  expect([numbers(first.items), first.next]).toEqual([[1, 2], '2']);
  const rest = events.page({ after: 2, limit: 3 });
  expect([numbers(rest.items), rest.next]).toEqual([[3, 4, 5], null]);
});

test('outbox - filters by type, department, district, severity, rule and ticket', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing'));
  const other = { department: 'd', district: 'x', severity: 'low', rule: 'r' } as const;
  const opened = ticketOf('2.0', other);
  const event = ticketEventOf({ ...opened, history: [{ ...opened.history[0]!, deed: 'resolved' }] });
  state.outbox.append(event);
  for (const filter of [
    ...Object.entries(other).map(([field, value]) => ({ [field]: value })),
    { ticket: 't-2-0' },
    { types: ['city.lamppost.ticket.resolved', 'city.lamppost.ticket.updated'] as const },
  ]) {
    expect(numbers(state.events.page({ after: 0, limit: 9, ...filter }).items)).toEqual([3]);
  }
  const query = { after: 0, limit: 9, ticket: 't-1-0', department: 'environment', types: EVENT_TYPES };
  expect(numbers(state.events.page(query).items)).toEqual([1, 2]);
});
