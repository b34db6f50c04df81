import { expect, test } from 'vitest';
import { has } from '../kit/databases.ts';
import { Campaign } from '../kit/faults/campaign.ts';
import { summaryOf } from '../kit/faults/summary.ts';

// `npm run soak -- --faults` runs it for an hour.
test.skipIf(!has('gcc'))(
  'faults - each kind of fault of disk, power, clock and process once, under load: no promise is broken',
  async () => {
    const load = { devices: 50, perSecond: 100, influx: false };
    const outcome = await Campaign.run({ ...load, seed: '14', minutes: 20, rounds: 1, checkEveryMs: 3_600_000 });
    console.info(summaryOf(outcome));
    expect(outcome.faults).toEqual([]);
    expect(outcome.injected.length, 'most faults find what they are for').toBeGreaterThan(8);
    expect(outcome.acknowledged).toBeGreaterThan(500);
    expect(outcome.actions).toBeGreaterThan(5);
  },
  1_800_000,
);
