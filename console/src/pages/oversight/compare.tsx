import type { OversightLine } from '../../api/schema.ts';
import { useWords } from '../../language.ts';

/** A line of the period, and the same of the period before; null: there was none. */
export interface Pair {
  readonly key: string;
  readonly line: OversightLine;
  readonly before: OversightLine | null;
}

type Named = 'department' | 'service' | 'district' | 'week';

/** Puts lines beside those of the period before. */
export function pairsOf(
  lines: readonly OversightLine[],
  before: readonly OversightLine[],
  by: readonly Named[],
): Pair[] {
  const keyOf = (line: OversightLine) => by.map((name) => line[name] ?? '').join(' / ');
  const earlier = new Map(before.map((line) => [keyOf(line), line]));
  return lines.map((line) => ({ key: keyOf(line), line, before: earlier.get(keyOf(line)) ?? null }));
}

/** By how much a number has changed, such as `+12 %`; nothing where there was none before. */
export function percent(now: number, before: number): string {
  if (before === 0) return '';
  const change = Math.round(((now - before) / before) * 100);
  return `${change > 0 ? '+' : change < 0 ? '−' : '±'}${Math.abs(change)} %`;
}

/** A number, and below it by how much it changed. */
export function Change({ now, before }: { readonly now: number; readonly before: number | null }) {
  const { number } = useWords();
  return (
    <>
      {number(now)}
      {before !== null && before > 0 && <div className="dim">{percent(now, before)}</div>}
    </>
  );
}
