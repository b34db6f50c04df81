import type { MetricTable, RefusedRow } from '../domain/index.ts';
import { emptyTally, type Outcome, type Refusal } from '../ingest/index.ts';

const ROWS_OF_A_BLOCK = 2 ** 20;

/**
 * The outcomes with what the history's database refused moved from stored to quarantined. Such a reading is kept as a
 * native message of its own, under a negative number that only it has and that grows with the journal.
 */
export function withRefused(
  batch: readonly Outcome[],
  refused: readonly RefusedRow[],
  metrics: MetricTable,
): Outcome[] {
  const byOutcome = Map.groupBy(refused, ({ batch: at }) => at);
  return batch.map((outcome, at) => {
    const rows = byOutcome.get(at) ?? [];
    if (rows.length === 0) return outcome;
    const tallies = rows.map((row) => tallyOf(outcome, row));
    const refusals = rows.map((row) => refusalOf(outcome, row, metrics));
    return { ...outcome, tallies: [...outcome.tallies, ...tallies], refusals: [...outcome.refusals, ...refusals] };
  });
}

function tallyOf(outcome: Outcome, { of, row }: RefusedRow) {
  const tally = emptyTally(outcome[of].device[row]!.id);
  tally.stored = -1;
  tally.refused = 1;
  if (of === 'replaced') tally.replaced = -1;
  return tally;
}

function refusalOf(outcome: Outcome, { of, row, detail }: RefusedRow, metrics: MetricTable): Refusal {
  const { device, metric, ts, value } = outcome[of];
  const { id } = device[row]!;
  const name = metrics.idOf(metric[row]!);
  const place = outcome.block.seq * ROWS_OF_A_BLOCK + row * 2 + (of === 'replaced' ? 1 : 0);
  return {
    reason: 'history-refused',
    path: `$.metrics.${name}`,
    detail,
    reading: `$ ${name}`,
    scope: 'reading',
    device: id,
    topic: `devices/${id}/readings`,
    receivedAt: outcome.block.receivedAt,
    position: Number.MIN_SAFE_INTEGER + place,
    raw: Buffer.from(JSON.stringify({ ts: ts[row], metrics: { [name]: value[row] } })),
  };
}
