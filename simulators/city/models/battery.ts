import { DAY_MS } from '../../../domain/index.ts';
import { between, type Random } from '../random.ts';

const EMPTY = 4;

/** A battery that loses 0.3 to 1.5 % a day and is replaced when it is nearly empty: % at a time that never goes back. */
export function createBattery(random: Random): (timeMs: number) => number {
  const perDay = between(random, 0.3, 1.5);
  let level = between(random, 8, 100);
  let lastMs = Number.NaN;
  return (timeMs) => {
    if (!Number.isNaN(lastMs)) level -= (perDay * (timeMs - lastMs)) / DAY_MS;
    if (level < EMPTY) level = 100;
    lastMs = timeMs;
    return level;
  };
}
