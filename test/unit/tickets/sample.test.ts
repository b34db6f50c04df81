import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseCity, readCityFolder } from '../../../city-model/index.ts';
import { addWorkingTime, createCalendarClock, HOUR_MS } from '../../../domain/index.ts';
import { parseRules } from '../../../rules/language/index.ts';
import { openState } from '../../kit/events/state.ts';
import { transition } from '../../kit/tickets/scene.ts';

const folder = fileURLToPath(new URL('../../../city', import.meta.url));
const T0 = Date.UTC(2026, 2, 2, 2);

test('the sample city - device-silent: reopened it has its 17 hours again, handed over time to acknowledge', async () => {
  const control = await readCityFolder(folder);
  const city = parseCity(control).city!;
  const rule = parseRules(control, city).rules.find(({ id }) => id === 'device-silent')!;
  const clock = createCalendarClock(city.calendars.get('working-hours')!);
  const after = (ms: number, hours: number) => new Date(addWorkingTime(clock, ms, hours * HOUR_MS)).toISOString();
  const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;

  const state = openState();
  state.at(T0, city);
  state.apply(transition('1.0', 'firing', { rule: rule.id, atMs: T0, severity: 'low' }), rule, city);
  const { id, dueAt, acknowledgeBy } = state.tickets.list({ limit: 1 }).items[0]!;
  expect([dueAt, acknowledgeBy]).toEqual([after(T0, 17), after(T0, 4)]);
  const act = (ms: number, action: 'acknowledge' | 'resolve' | 'reopen' | 'hand-over', to?: string) => {
    state.at(ms, city);
    return state.effects.publish(state.service.act({ ticket: id, action, actor, to }));
  };
  act(T0 + HOUR_MS, 'acknowledge');
  const handed = act(T0 + 2 * HOUR_MS, 'hand-over', 'operations');
  expect(handed).toMatchObject({ acknowledgeBy: after(T0 + 2 * HOUR_MS, 4), dueAt });
  act(T0 + 3 * HOUR_MS, 'resolve');
  const reopened = act(T0 + 4 * HOUR_MS, 'reopen');
  expect(reopened).toMatchObject({ acknowledgeBy: after(T0 + 4 * HOUR_MS, 4), dueAt: after(T0 + 4 * HOUR_MS, 17) });
});
