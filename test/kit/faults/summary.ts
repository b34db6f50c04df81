import type { Outcome } from './campaign.ts';

const percentile = (sorted: readonly number[], share: number) => sorted[Math.floor((sorted.length - 1) * share)]!;

/** The table of a campaign in Markdown, and what the server said meanwhile. */
export function summaryOf({ injected, acknowledged, actions, events, mostMiB, said, faults }: Outcome): string {
  const byKind = Map.groupBy(injected, ({ kind }) => kind);
  const rows = [...byKind].sort().map(([kind, all]) => {
    const took = all.map(({ recoveredMs }) => recoveredMs).sort((a, b) => a - b);
    return `| ${kind} | ${all.length} | ${percentile(took, 0.5)} ms | ${took.at(-1)} ms |`;
  });
  const count = (what: string) => faults.filter((fault) => fault.includes(what)).length;
  return [
    '| fault | times | back after, median | at most |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    `${injected.length} faults; ${acknowledged} messages acknowledged, lost: ${count('are lost')}, doubled: ${count('are doubled')}; ` +
      `${actions} actions answered; ${events} events; memory at most ${mostMiB} MiB`,
    '',
    ...[...said].map(([what, { times, after }]) => `${times} × ${what} (${[...after].join(', ')})`),
    '',
    faults.length === 0 ? 'No promise was broken.' : `BROKEN (${faults.length}):\n${faults.slice(0, 50).join('\n')}`,
  ].join('\n');
}
