import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, from the longest on. Those of `faults` mostly wait for servers that start, and those of
 * `campaign` compute: beside each other they keep all cores busy.
 */
const LONGEST: readonly string[] = [
  'test/faults/campaign.test.ts',
  'test/faults/kill.test.ts',
  'test/faults/backup.test.ts',
  'test/faults/hostile/guessers.test.ts',
  'test/faults/cluster/faults.test.ts',
  'test/faults/clock.test.ts',
  'test/integration/console-operations.test.ts',
  'test/integration/console.test.ts',
  'test/integration/start.test.ts',
  'test/faults/cluster/nodes.test.ts',
  'test/faults/tickets.test.ts',
  'test/integration/people.test.ts',
  'test/integration/citizens.test.ts',
  'test/integration/influx.test.ts',
  'test/faults/damage.test.ts',
  'test/integration/commands.test.ts',
  'test/faults/webhooks.test.ts',
  'test/unit/rules/crash-steps.campaign.test.ts',
  'test/integration/cluster-demo.test.ts',
  'test/integration/backup.test.ts',
  'test/faults/start.test.ts',
  'test/faults/hostile/strangers.test.ts',
  'test/faults/sse.test.ts',
  'test/integration/rules/replay.test.ts',
  'test/integration/operators.test.ts',
  'test/integration/trouble.test.ts',
  'test/integration/docs.test.ts',
  'test/integration/backtest/backtest.test.ts',
  'test/faults/sessions.test.ts',
  'test/integration/cluster-citizens.test.ts',
  'test/integration/registry.test.ts',
  'test/integration/console-administration.test.ts',
  'test/faults/commands.test.ts',
  'test/integration/quarantine.test.ts',
  'test/faults/hostile/devices.test.ts',
  'test/faults/storm.test.ts',
  'test/integration/public-page.test.ts',
  'test/integration/year.test.ts',
  'test/faults/disk.test.ts',
  'test/integration/rotation.test.ts',
  'test/faults/hostile/viewers.test.ts',
  'test/integration/cluster-leases.test.ts',
  'test/integration/webhooks.test.ts',
  'test/unit/ingest/ledger.campaign.test.ts',
  'test/integration/migrations.test.ts',
  'test/faults/history-process.test.ts',
];

/** Begins with the longest files, so that no worker is alone with one in the end; the others go project by project. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.indexOf(relative(this.ctx.config.root, moduleId));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
