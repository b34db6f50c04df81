import type { KnownDevice } from '../../../../domain/index.ts';
import { sample } from '../../city-model/kit.ts';
import { intakeBench, native } from '../../ingest/intake.ts';
import type { Entry, Sample } from '../reference/journal.ts';
import { wordsOf } from './moments.ts';

/** What a block is after the intake, and what that says of it: `→ 10:00 d1 refused too-old`, `… duplicate`, `… replaced`. */
export interface Passed {
  readonly entry: Entry;
  readonly said: readonly string[];
}

/** The real intake of the sample city, with a state file of its own: readings go through it as messages, one each. */
export function createGate(devices: readonly KnownDevice[], atMs: number): (entry: Entry) => Passed {
  const bench = intakeBench();
  bench.city(sample, atMs);
  bench.devices(devices, [], atMs);
  return (entry) => {
    const { op } = entry;
    if (op.kind !== 'readings') return { entry, said: [] };
    const messages = op.samples.map(({ id, metric, ts, value }) =>
      native(id, { ts, metrics: { [metric]: value } }, entry.atMs),
    );
    const outcome = bench.send(messages);
    const samples = bench.rows(outcome).map(([id, metric, ts, value]): Sample => ({ id, metric, ts, value }));
    const told = (device: string, words: string) => `→ ${wordsOf(entry.atMs)} ${device} ${words}`;
    const said = [
      ...outcome.refusals.map(({ device, reason }) => told(device, `refused ${reason}`)),
      ...outcome.tallies.filter(({ duplicate }) => duplicate > 0).map(({ device }) => told(device, 'duplicate')),
      ...outcome.tallies.filter(({ replaced }) => replaced > 0).map(({ device }) => told(device, 'replaced')),
    ];
    return { entry: { ...entry, op: { ...op, samples } }, said };
  };
}
