import type { ShownSilence } from '../../api/schema.ts';

/** What a silence is about, in a line. */
export function wordsOf({ tags = {}, ...lists }: ShownSilence['matchers']): string {
  const named = Object.entries(lists).map(([key, values]) => `${key}: ${values.join(', ')}`);
  const tagged = Object.entries(tags).map(([tag, value]) => `${tag} = ${value}`);
  return [...named, ...tagged].join(' · ');
}
