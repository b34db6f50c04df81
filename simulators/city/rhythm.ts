import { HOUR_MS } from '../../domain/index.ts';
import { between, type Random } from './random.ts';

const DAY_MS = 24 * HOUR_MS;
const FIRST_SUNDAY = 3;

/** Hour of the day, 0 ≤ h < 24, of a local time in ms. */
export function hourOf(localMs: number): number {
  return (((localMs % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS;
}

/** Whether a local time in ms falls on Saturday or Sunday. */
function isWeekend(localMs: number): boolean {
  const weekday = (((Math.floor(localMs / DAY_MS) - FIRST_SUNDAY) % 7) + 7) % 7;
  return weekday === 0 || weekday === 6;
}

/** A bell around an hour of the day, 1 at its top; `width` is its deviation in hours. It wraps at midnight. */
export function bell(hour: number, top: number, width: number): number {
  const away = Math.abs(hour - top);
  const distance = Math.min(away, 24 - away);
  return Math.exp(-0.5 * (distance / width) ** 2);
}

/** How much traffic is on the roads, about 0..1: two peaks on working days, one broad one at weekends. */
export function trafficAt(localMs: number): number {
  const hour = hourOf(localMs);
  if (isWeekend(localMs)) return 0.08 + 0.5 * bell(hour, 14, 4);
  return 0.06 + 0.75 * bell(hour, 8, 1.3) + 0.8 * bell(hour, 17.7, 1.6) + 0.35 * bell(hour, 13, 3);
}

/** Whether street lamps are lit: from half past six in the evening until half past six in the morning. */
export function lampsAreLit(localMs: number): boolean {
  const hour = hourOf(localMs);
  return hour >= 18.5 || hour < 6.5;
}

/**
 * Things that happen now and then: answers how strongly one is under way at a time, 0 (none) to 1.
 * It begins about every `everyMs`, lasts about `lastsMs`; both vary by a half. Times asked must not go back.
 */
export function createEpisodes(random: Random, everyMs: number, lastsMs: number): (timeMs: number) => number {
  let startMs = Number.NaN;
  let endMs = 0;
  let strength = 0;
  const plan = (fromMs: number, first: boolean): void => {
    startMs = fromMs + everyMs * (first ? random() : between(random, 0.5, 1.5));
    endMs = startMs + lastsMs * between(random, 0.5, 1.5);
    strength = between(random, 0.6, 1);
  };
  return (timeMs) => {
    if (Number.isNaN(startMs)) plan(timeMs, true);
    while (timeMs >= endMs) plan(endMs, false);
    return timeMs >= startMs ? strength : 0;
  };
}
