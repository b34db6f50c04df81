import type { Webhook } from '../../api/schema.ts';
import type { Says } from '../../texts/says.ts';

type Filter = NonNullable<Webhook['filter']>;
type NameOf = (kind: 'departments' | 'districts', id: string) => string;

/** The name of an event's type, such as "ticket · closed". */
export function typeName({ t, term }: Says, type: string): string {
  const name = type.replace('city.lamppost.', '');
  return name.startsWith('ticket.') ? `${t('ticket')} · ${term('change', name.slice(7))}` : term('event', name);
}

/** What a filter lets through, in a line of the page's language; empty: everything. */
export function filterWords(filter: Filter, words: Says, name: NameOf): string {
  const { t, term } = words;
  const { types = [], departments = [], districts = [], severities = [], rules = [], parties = [] } = filter;
  const lists = [
    [t('column.department'), departments.map((id) => name('departments', id))],
    [t('party'), parties.map((id) => name('departments', id))],
    [t('column.district'), districts.map((id) => name('districts', id))],
    [t('column.severity'), severities.map((severity) => term('severity', severity))],
    [t('rule'), rules],
  ] as const;
  const named = lists.flatMap(([label, names]) => (names.length === 0 ? [] : `${label}: ${names.join(', ')}`));
  return [...types.map((type) => typeName(words, type)), ...named].join('; ');
}
