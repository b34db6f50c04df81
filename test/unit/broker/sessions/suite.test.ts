import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Tests of queues: ours are in the outbox. */
const OUTGOING = '--test-skip-pattern=/outgoing packet|^update to /';
const SUITE = fileURLToPath(new URL('../../../kit/broker/abstract-suite.ts', import.meta.url));

test("sessions - the suite of Aedes' persistences passes unmodified, but for queues", () => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ['--test', '--test-reporter=tap', OUTGOING, SUITE], {
    encoding: 'utf8',
    env,
  });
  const count = (name: string) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(run.stdout)?.[1]);
  expect(
    run.status,
    run.stdout
      .split('\n')
      .filter((line) => line.includes('not ok'))
      .join('\n'),
  ).toBe(0);
  expect(count('fail') + count('cancelled') + count('skipped') + count('todo')).toBe(0);
  expect(count('pass')).toBe(count('tests'));
  // An empty run passes, too.
  expect(count('tests')).toBeGreaterThanOrEqual(40);
});
