import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Ticket } from '../../../domain/index.ts';
import { boxAround, distanceM } from '../../../domain/index.ts';
import { transact } from '../../../store/index.ts';
import { type Request, TICKET_SCHEMA, TicketService } from '../../../tickets/index.ts';
import { nearestOf } from '../../../tickets/service.ts';
import { runs } from '../../kit/runs.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import * as scene from '../../kit/tickets/scene.ts';

const HERE = { lat: 31.2, lon: 121.5 };
/** Returns the place this many metres to the north. */
const north = (metres: number) => ({ lat: HERE.lat + metres / 111_195, lon: HERE.lon });

test.each([
  ['one degree of latitude', { lat: 0, lon: 0 }, { lat: 1, lon: 0 }, 111_195],
  ['one degree of longitude at 60° north', { lat: 60, lon: 0 }, { lat: 60, lon: 1 }, 55_597],
  ['across the date line', { lat: 0, lon: 179.9995 }, { lat: 0, lon: -179.9995 }, 111],
  ['nowhere at all', HERE, HERE, 0],
  ['to the other side of the Earth', { lat: 0, lon: 0 }, { lat: 0, lon: 180 }, 20_015_114],
])('near - distances: %s', (_name, a, b, metres) => {
  expect(Math.round(distanceM(a, b))).toBe(metres);
});

test('near - every place within the distance lies in the box', () => {
  const place = fc.record({
    lat: fc.double({ min: -90, max: 90, noNaN: true }),
    lon: fc.double({ min: -180, max: 180, noNaN: true }),
  });
  const step = fc.double({ min: -0.01, max: 0.01, noNaN: true });
  fc.assert(
    fc.property(place, step, step, (middle, up, right) => {
      const other = {
        lat: Math.max(-90, Math.min(90, middle.lat + up)),
        lon: ((((middle.lon + right / Math.cos((middle.lat * Math.PI) / 180) + 180) % 360) + 360) % 360) - 180,
      };
      const { lat, lon } = boxAround(middle, distanceM(middle, other));
      expect(other.lat).toBeGreaterThanOrEqual(lat[0]);
      expect(other.lat).toBeLessThanOrEqual(lat[1]);
      if (lon === null) return;
      expect(other.lon).toBeGreaterThanOrEqual(lon[0]);
      expect(other.lon).toBeLessThanOrEqual(lon[1]);
    }),
    { numRuns: runs(2_000) },
  );
});

const at = (id: string, location: Ticket['location'], changes: Partial<Ticket> = {}) =>
  scene.ticketOf(id, { location, ...changes });

test('near - a sensor’s ticket comes before those of citizens, then the nearest, then the oldest; one beyond the distance does not count', () => {
  const citizen = at('1.0', north(5), { origin: 'citizen' });
  const sensor = at('2.0', north(60));
  const nearer = at('3.0', north(30));
  const later = at('4.0', north(30));
  const pick = (...tickets: Ticket[]) => nearestOf(tickets, HERE, 100)?.id ?? null;
  expect(pick(citizen, sensor)).toBe('t-2-0');
  expect(pick(citizen, sensor, later, nearer)).toBe('t-3-0');
  expect(pick(citizen)).toBe('t-1-0');
  expect(pick(at('5.0', north(101)), at('6.0', null))).toBeNull();
  expect(pick(at('5.0', north(99)))).toBe('t-5-0');
});

function openService() {
  const db = openMigrated(':memory:', [TICKET_SCHEMA]);
  let nowMs = Date.UTC(2026, 0, 1, 12);
  const other = scene.serviceOf('noise');
  const poles = ['p-1', 'p-2'].map((id) => ({ id, kind: 'pole', title: null, services: [], location: HERE }));
  const city = scene.cityWith({ closeMs: 3_600_000 }, { assets: new Map(poles.map((pole) => [pole.id, pole])) });
  const services = new Map([...city.services, ['noise', other]]);
  const clock = { now: () => nowMs++ };
  const service = new TicketService({ db, clock, city: () => ({ ...city, services }), firing: () => [] });
  let n = 0;
  const report = (location: Ticket['location'], given: Partial<Request> = {}) =>
    transact(db, () =>
      service.open({
        place: `${++n}`,
        origin: 'citizen',
        by: 'reporter',
        service: 'air-quality',
        title: 'T',
        titleZh: 'Z',
        description: 'it smells',
        district: 'harbour',
        severity: 'medium',
        location,
        address: null,
        same: { withinM: 100 },
        ...given,
      }),
    );
  const fire = (id: string, location: { lat: number; lon: number }) => {
    const transition = scene.transition(id, 'firing', { group: id });
    const subject = { kind: 'device', device: { ...scene.device, id, location } } as const;
    const { rule } = scene;
    return service.incidents.apply({ transition, rule, subject, city }).ticket!;
  };
  const act = (ticket: string, action: 'resolve' | 'close' | 'reopen') => {
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    return service.act({ ticket, action, actor });
  };
  return { service, report, fire, act };
}

test("service - a citizen's request near a sensor's ticket of the same service is linked to it, and counted", () => {
  const { report, fire } = openService();
  const sensor = fire('1.0', north(80));
  report(north(300));
  const versions = report(HERE);
  expect(versions.map(({ id, reports, relation }) => ({ id, reports, relation }))).toEqual([
    { id: sensor.id, reports: 1, relation: null },
    { id: 'r-2', reports: 0, relation: 'report' },
  ]);
  expect(versions[0]!.history.at(-1)).toMatchObject({ action: 'linked', note: 'r-2 reports the same' });
  // A ticket that is linked to another is not a parent, though it is nearer.
  expect(report(HERE).at(-1)).toMatchObject({ parent: sensor.id });
});

test('service - reports at one place are linked to the first; another service, a far place or no place are not', () => {
  const { report } = openService();
  const parents = [
    report(HERE),
    report(north(99)),
    report(north(101)),
    report(HERE, { service: 'noise' }),
    report(null),
    report(HERE, { same: null }),
  ].map((versions) => versions.at(-1)!.parent);
  expect(parents).toEqual([null, 'r-1', null, null, null, null]);
});

test('service - reports on different assets stay apart, also where one that names none was there before', () => {
  const { report } = openService();
  const parents = [
    report(HERE),
    report(north(1), { asset: 'p-1' }),
    report(north(1), { asset: 'p-2' }),
    report(north(2), { asset: 'p-2' }),
    report(north(500), { asset: 'p-1' }),
    report(north(1)),
  ].map((versions) => versions.at(-1)!.parent);
  expect(parents).toEqual([null, 'r-1', null, 'r-3', 'r-1', 'r-3']);
});

test('service - nothing is linked to a resolved ticket; reports linked before resolve with it', () => {
  const { report, act } = openService();
  report(HERE);
  report(north(10));
  const versions = act('r-1', 'resolve');
  expect(versions.map(({ id, status }) => [id, status])).toEqual([
    ['r-2', 'resolved'],
    ['r-1', 'resolved'],
  ]);
  expect(report(HERE).at(-1)).toMatchObject({ id: 'r-3', parent: null });
});
