import { MultiSelect } from '@mantine/core';
import { useCity, useNames } from '../../api/queries.ts';
import type { Webhook } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { filterWords, typeName } from './filterWords.ts';

export type Filter = NonNullable<Webhook['filter']>;
type EventType = NonNullable<Filter['types']>[number];

type Short<T = EventType> = T extends `city.lamppost.${infer Name}` ? Name : never;

/** Every type that the server has, and no other: the compiler compares them. */
const TYPES = Object.keys({
  'alert.firing': true,
  'alert.resolved': true,
  'ticket.opened': true,
  'ticket.updated': true,
  'ticket.acknowledged': true,
  'ticket.offered': true,
  'ticket.taken': true,
  'ticket.declined': true,
  'ticket.assigned': true,
  'ticket.started': true,
  'ticket.commented': true,
  'ticket.handed-over': true,
  'ticket.split': true,
  'ticket.linked': true,
  'ticket.warned': true,
  'ticket.reminded': true,
  'ticket.folded': true,
  'ticket.escalated': true,
  'ticket.resolved': true,
  'ticket.closed': true,
  'ticket.reopened': true,
  'ticket.rated': true,
  'ticket.replied': true,
  'ticket.wrote': true,
  'silence.created': true,
  'silence.matched': true,
  'silence.ending': true,
  'silence.ended': true,
  'clock.stepped': true,
  'clock.doubted': true,
  'session.dropped': true,
  'login.failing': true,
  'command.queued': true,
  'command.sent': true,
  'command.acknowledged': true,
  'command.failed': true,
  'command.expired': true,
  'command.superseded': true,
  'command.cancelled': true,
  'desired.changed': true,
} satisfies Record<Short, true>);
const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const;

interface Props {
  readonly value: Filter;
  readonly onChange: (filter: Filter) => void;
}

/** Which events a receiver gets: those that match every list; an empty list matches all. */
export function FilterFields({ value, onChange }: Props) {
  const words = useWords();
  const { t, term, language } = words;
  const city = useCity();
  const named = (kind: 'departments' | 'districts') =>
    (city.data?.[kind] ?? []).map(({ id, title }) => ({ value: id, label: title[language] }));
  const common = {
    searchable: true,
    clearable: true,
    clearButtonProps: { 'aria-label': t('clear') },
    placeholder: t('tickets.all'),
  } as const;
  return (
    <>
      <MultiSelect
        {...common}
        label={t('receiver.types')}
        data={TYPES.map((type) => ({ value: `city.lamppost.${type}`, label: typeName(words, type) }))}
        value={value.types ?? []}
        onChange={(types) => onChange({ ...value, types: types as EventType[] })}
      />
      <MultiSelect
        {...common}
        label={t('column.department')}
        data={named('departments')}
        value={value.departments ?? []}
        onChange={(departments) => onChange({ ...value, departments })}
      />
      <MultiSelect
        {...common}
        label={t('column.district')}
        data={named('districts')}
        value={value.districts ?? []}
        onChange={(districts) => onChange({ ...value, districts })}
      />
      <MultiSelect
        {...common}
        label={t('column.severity')}
        data={SEVERITIES.map((severity) => ({ value: severity, label: term('severity', severity) }))}
        value={value.severities ?? []}
        onChange={(some) => onChange({ ...value, severities: SEVERITIES.filter((one) => some.includes(one)) })}
      />
    </>
  );
}

/** The filter without its empty lists, as the server takes it. */
export function given(filter: Filter): Filter {
  return Object.fromEntries(Object.entries(filter).filter(([, list]) => list.length > 0));
}

/** The filter in words. */
export function Filtered({ filter }: { readonly filter: Filter | null }) {
  const words = useWords();
  const name = useNames();
  if (filter === null) return <>{words.t('receiver.none')}</>;
  return <>{filterWords(filter, words, name) || words.t('receiver.everything')}</>;
}
