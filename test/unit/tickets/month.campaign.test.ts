import { expect, test } from 'vitest';
import { createRandom } from '../../../simulators/city/random.ts';
import { AUTUMN, cityOf, type Month, SPRING } from '../../kit/tickets/month/city.ts';
import { createReference, type Walk } from '../../kit/tickets/month/reference.ts';
import { createSimulation } from '../../kit/tickets/month/simulation.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const DAYS = 31;
/** What was stored on the last day comes due within these. */
const AHEAD_DAYS = 25;

const walks = new Map<Month, Walk>();

function walkOf(month: Month): Walk {
  const fromMs = Date.parse(month.from);
  const { calendars } = cityOf(month);
  const walk =
    walks.get(month) ?? createReference(calendars.values(), fromMs - 2 * DAY, fromMs + (DAYS + AHEAD_DAYS) * DAY);
  walks.set(month, walk);
  return walk;
}

/**
 * Runs a month in which alerts fire and people act at random; `nextLook` returns the time until the clock looks again.
 */
function simulate(month: Month, seed: string, nextLook: (random: () => number) => number) {
  const random = createRandom(seed);
  const simulation = createSimulation({ month, walk: walkOf(month), random });
  const endMs = Date.parse(month.from) + DAYS * DAY;
  let lookMs = Date.parse(month.from);
  let day = 0;
  while (lookMs < endMs) {
    const beforeMs = lookMs;
    // Now and then the server is stopped for hours: only alerts go on, and are read from the journal afterwards.
    const isDown = random() < 1 / 700;
    lookMs += isDown ? Math.floor(random() * 9 * HOUR) : nextLook(random);
    if (isDown && random() < 0.5) simulation.look(lookMs);
    for (const atMs of moments(beforeMs, lookMs)) {
      const what = random();
      if (what < 0.3) simulation.alert(atMs);
      else if (!isDown && what < 0.93) simulation.act(atMs);
      else if (!isDown) simulation.ask(atMs);
    }
    simulation.look(lookMs);
    if (Math.floor(lookMs / DAY) !== day) simulation.compareAhead();
    day = Math.floor(lookMs / DAY);
  }
  return simulation;

  /** About four an hour, in order. */
  function moments(fromMs: number, toMs: number): number[] {
    const expected = ((toMs - fromMs) / HOUR) * 4;
    const count = Math.floor(expected) + Number(random() < expected % 1);
    return Array.from({ length: count }, () => Math.floor(fromMs + 1 + random() * (toMs - fromMs - 1))).sort(
      (a, b) => a - b,
    );
  }
}

const CLOCK_ACTIONS = ['warned', 'escalated', 'declined', 'offered', 'closed'];

test.each([
  ['clocks skip an hour', SPRING],
  ['clocks show an hour twice', AUTUMN],
])(
  'deadlines - a month in which %s, looked at each minute: every one is right, and everything due is done once',
  (_, month) => {
    const { counts, tickets } = simulate(month, `${month.from} minutes`, () => MINUTE);
    expect(tickets.size).toBeGreaterThan(300);
    for (const action of CLOCK_ACTIONS) expect(counts.get(action), action).toBeGreaterThanOrEqual(10);
  },
);

test.each([
  ['clocks skip an hour', SPRING],
  ['clocks show an hour twice', AUTUMN],
])(
  'deadlines - a month in which %s, looked at now and then: what came due meanwhile is done once, at the time at which it was due',
  (_, month) => {
    for (const seed of ['a', 'b']) {
      const { counts } = simulate(month, `${month.from} ${seed}`, (random) => 1 + Math.floor(random() * 40 * MINUTE));
      for (const action of CLOCK_ACTIONS) expect(counts.get(action), action).toBeGreaterThanOrEqual(10);
    }
  },
);
