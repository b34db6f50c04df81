import { beforeAll, expect, test } from 'vitest';
import { CLUSTER_FAULTS, type ClusterOutcome, campaignOfCluster } from '../../kit/faults/cluster-campaign.ts';

/** `npm run soak -- --cluster --kills 100` is the long form. */
let outcome: ClusterOutcome;

beforeAll(async () => {
  outcome = await campaignOfCluster({
    ...{ faults: CLUSTER_FAULTS, seed: 'each once', devices: 10, clients: 4, everyMs: 50, pauseMs: 8_000 },
  });
});

test('cluster - each fault of a machine once, under load: nothing acknowledged or answered is lost, no ticket is there twice, all nodes have the same, and every subscriber gets every event', () => {
  for (const said of outcome.ended) process.stdout.write(`${said}\n`);
  expect(outcome.broken).toEqual([]);
  expect(outcome.acknowledged).toBeGreaterThan(500);
  expect(outcome.answered).toBeGreaterThan(5);
  expect(outcome.events).toBeGreaterThan(20);
});
