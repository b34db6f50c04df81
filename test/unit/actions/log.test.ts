import { expect, test } from 'vitest';
import { ActionLog, type Caller } from '../../../actions/index.ts';
import { type ActionsControl, LamppostError } from '../../../domain/index.ts';

const caller: Caller = {
  actor: { kind: 'key', id: 'anna', role: 'operator', department: null },
  address: '192.0.2.1',
  key: null,
};
const head = { n: 7, hash: 'ab' };

/** A log whose records are kept, and reach the disk when the test says so. */
function openLog() {
  const records: ActionsControl[] = [];
  const onDisk: PromiseWithResolvers<void>[] = [];
  const timers: (() => void)[] = [];
  const clock = { ms: 1_000, now: () => clock.ms };
  const log = new ActionLog({
    clock,
    append(control) {
      records.push(control);
      onDisk.push(Promise.withResolvers());
      return onDisk.at(-1)!.promise;
    },
    timers: {
      after(_ms, run) {
        timers.push(run);
        return () => {};
      },
    },
    head: null,
  });
  const end = (silence: string) => log.submit({ do: 'silence.end', silence }, caller);
  const ids = () => records.flatMap(({ items }) => items.map(({ id }) => id));
  return { log, records, onDisk, timers, clock, end, ids };
}

test('actions - those that come while a record is on its way share the next one, in their order', async () => {
  const { records, onDisk, end } = openLog();
  for (const name of ['s-1', 's-2', 's-3']) void end(name);
  expect(records.map(({ items }) => items.length)).toEqual([1]);
  onDisk[0]!.resolve();
  await expect.poll(() => records.length).toBe(2);
  const commands = records[1]!.items.map(({ command }) => command);
  expect(commands).toEqual([
    { do: 'silence.end', silence: 's-2' },
    { do: 'silence.end', silence: 's-3' },
  ]);
});

test('actions - each gets the result of its own id, whatever comes first; unknown ids are ignored', async () => {
  const { log, onDisk, end, ids } = openLog();
  const first = end('s-1');
  onDisk[0]!.resolve();
  const error = { code: 'not-found', reason: null, message: 'no such silence' } as const;
  log.decided({ results: [{ id: 'another', value: true, error: null }], head });
  log.decided({ results: [{ id: ids()[0]!, value: null, error }], head });
  await expect(first).rejects.toMatchObject({ code: 'not-found', message: 'no such silence' });
  const second = end('s-2');
  log.decided({ results: [{ id: ids()[1]!, value: true, error: null }], head });
  expect(await second).toBe(true);
});

test('actions - a record names the newest entry of the audit trail that was known', async () => {
  const { log, records, onDisk, end } = openLog();
  void end('s-1');
  onDisk[0]!.resolve();
  log.decided({ results: [], head });
  await expect.poll(() => records.length).toBe(1);
  void end('s-2');
  expect(records.map(({ anchor }) => anchor)).toEqual([null, head]);
});

test('actions - what the disk refuses is refused; the next is tried again', async () => {
  const { onDisk, end, log, ids } = openLog();
  const refused = end('s-1');
  onDisk[0]!.reject(new LamppostError('disk', 'full', { retryable: true }));
  await expect(refused).rejects.toMatchObject({ code: 'disk' });
  const next = end('s-1');
  await expect.poll(() => onDisk.length).toBe(2);
  onDisk[1]!.resolve();
  log.decided({ results: [{ id: ids()[1]!, value: false, error: null }], head });
  expect(await next).toBe(false);
});

test('actions - who waits too long for the rules learns that the action will be decided, and how to get its result', async () => {
  const { timers, end } = openLog();
  const late = end('s-1');
  timers[0]!();
  await expect(late).rejects.toMatchObject({
    code: 'busy',
    retryable: true,
    message: expect.stringContaining('Idempotency-Key'),
  });
});

test('actions - a note for the audit trail waits for the disk, not for the rules', async () => {
  const { log, onDisk } = openLog();
  const noted = log.note('POST /api/v1/keys', '/api/v1/keys', caller);
  onDisk[0]!.resolve();
  await noted;
});

test('actions - how long each waited is measured, also of who waited too long', async () => {
  const { log, timers, clock, end, ids } = openLog();
  const waited: number[] = [];
  log.onWaited((seconds) => waited.push(seconds));
  const first = end('s-1');
  clock.ms += 40;
  log.decided({ results: [{ id: ids()[0]!, value: true, error: null }], head });
  await first;
  const late = end('s-2');
  clock.ms += 30_000;
  timers.at(-1)!();
  await expect(late).rejects.toMatchObject({ code: 'busy' });
  expect(waited).toEqual([0.04, 30]);
});
