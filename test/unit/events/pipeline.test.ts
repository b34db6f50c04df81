import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Transition } from '../../../domain/index.ts';
import { openState } from '../../kit/events/state.ts';
import { city, device, rule, transition } from '../../kit/tickets/scene.ts';

const published = (state: ReturnType<typeof openState>) =>
  state.events.page({ after: 0, limit: 100 }).items.map(({ n, event }) => `${n} ${event.id} ${event.type.slice(14)}`);

test('pipeline - an incident from pending to resolved is one alert, one ticket and four events', () => {
  const state = openState();
  state.apply(transition('1.0', 'pending'));
  state.apply(transition('11.0', 'firing'));
  expect(state.alerts.list({ limit: 9 }).items).toMatchObject([{ state: 'firing', ticket: 't-11-0' }]);
  expect(state.tickets.openCount()).toBe(1);
  state.apply(transition('30.2', 'resolved', { value: 58 }));

  expect(state.alerts.list({ limit: 9 }).items).toEqual([
    {
      rule: 'pm25-unhealthy',
      group: 'air-7',
      state: 'resolved',
      severity: 'high',
      since: '2026-01-01T00:00:00.000Z',
      updatedAt: '2026-01-01T00:30:00.000Z',
      value: 58,
      title: 'Fine dust above 75 at Pier 7, Harbour',
      titleZh: '港区Pier 7细颗粒物超过75',
      district: 'harbour',
      ticket: 't-11-0',
    },
  ]);
  expect(state.tickets.get('t-11-0')).toMatchObject({
    status: 'resolved',
    title: 'Fine dust above 75 at Pier 7, Harbour',
    titleZh: '港区Pier 7细颗粒物超过75',
    history: [{ to: 'open' }, { from: 'open', to: 'resolved' }],
  });
  expect(published(state)).toEqual([
    '1 11.0-alert alert.firing',
    '2 t-11-0.1 ticket.opened',
    '3 30.2-alert alert.resolved',
    '4 t-11-0.2 ticket.resolved',
  ]);
});

test('pipeline - an alert that never fired makes no event and no row', () => {
  const state = openState();
  state.apply(transition('1.0', 'pending'));
  expect(state.apply(transition('2.0', 'cancelled'))).toEqual({ kind: 'none', reason: 'never-fired' });
  expect(state.alerts.list({ limit: 9 }).items).toEqual([]);
  expect(published(state)).toEqual([]);
});

test('pipeline - firing again while the ticket is open updates it and opens none', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing'));
  state.apply(transition('2.0', 'firing', { severity: 'critical' }));
  expect(state.tickets.list({ limit: 9 }).items).toMatchObject([{ id: 't-1-0', severity: 'critical' }]);
  expect(published(state).at(-1)).toBe('4 t-1-0.2 ticket.escalated');
});

test('pipeline - an incident after a resolved one opens its own ticket', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing'));
  state.apply(transition('2.0', 'resolved'));
  state.apply(transition('3.0', 'firing'));
  expect(state.tickets.list({ limit: 9 }).items.map((t) => [t.id, t.status])).toEqual([
    ['t-3-0', 'open'],
    ['t-1-0', 'resolved'],
  ]);
});

test('pipeline - a rule without a ticket, or of an unknown service, still makes its alert event', () => {
  const state = openState();
  const { ticket: _, ...alertOnly } = rule;
  expect(state.apply(transition('1.0', 'firing'), alertOnly).reason).toBe('rule-raises-no-ticket');
  expect(state.apply(transition('2.0', 'firing'), rule, { ...city, services: new Map() }).reason).toBe(
    'unknown-service',
  );
  expect(published(state)).toEqual(['1 1.0-alert alert.firing', '2 2.0-alert alert.firing']);
  expect(state.alerts.list({ limit: 9 }).items).toMatchObject([{ ticket: null, district: device.district }]);
});

const randomBlocks = fc.array(
  fc.record({
    transitions: fc.array(
      fc.record({
        rule: fc.constantFrom('a', 'b'),
        group: fc.constantFrom('x', 'y'),
        to: fc.constantFrom<Transition['to'][]>('pending', 'firing', 'firing', 'resolved', 'cancelled'),
      }),
      { maxLength: 5 },
    ),
    crashes: fc.nat({ max: 2 }),
    crashAfter: fc.nat({ max: 5 }),
  }),
  { maxLength: 12 },
);

test('pipeline - crashes and repeats leave the rows of an uninterrupted run, and at most one open ticket a pair (promises 3, 4)', () => {
  fc.assert(
    fc.property(randomBlocks, (blocks) => {
      const straight = openState();
      const crashing = openState();
      for (const [seq, block] of blocks.entries()) {
        const transitions = block.transitions.map(({ to, ...pair }, i) => transition(`${seq + 1}.${i}`, to, pair));
        for (const t of transitions) straight.apply(t, { ...rule, id: t.rule });
        for (let crash = 0; crash < block.crashes; crash++) {
          crashing.db.exec('begin');
          for (const t of transitions.slice(0, block.crashAfter)) crashing.apply(t, { ...rule, id: t.rule });
          crashing.db.exec('rollback');
        }
        crashing.db.exec('begin');
        for (const t of transitions) crashing.apply(t, { ...rule, id: t.rule });
        crashing.db.exec('commit');
        const open = straight.tickets.list({ limit: 100, status: 'open' }).items.map((t) => `${t.rule} ${t.group}`);
        expect(open).toHaveLength(new Set(open).size);
        expect(open).toHaveLength(straight.tickets.openCount());
      }
      expect(crashing.dump()).toEqual(straight.dump());
      const numbers = straight.events.page({ after: 0, limit: 1000 }).items.map(({ n }) => n);
      expect(numbers).toEqual(numbers.map((_, i) => i + 1));
    }),
    { numRuns: 60 },
  );
});
