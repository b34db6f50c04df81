const MOST_LISTED = 20;

/** `: did you mean "pm25"?` where a known name is close to what was written; else the known names, if they are few. */
export function suggest(written: string, known: Iterable<string>): string {
  const names = [...known];
  const near = names
    .map((name) => ({ name, distance: distance(written.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance: d }) => d <= Math.max(1, Math.round(name.length / 2.5)))
    .sort((a, b) => a.distance - b.distance)[0];
  if (near !== undefined) return `: did you mean "${near.name}"?`;
  return names.length > 0 && names.length <= MOST_LISTED ? `; known: ${names.join(', ')}` : '';
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, replaced);
    }
    row = next;
  }
  return row[b.length]!;
}
