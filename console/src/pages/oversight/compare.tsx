import { useWords } from '../../language.ts';

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
