import { Button, MultiSelect, SegmentedControl, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useEffect, useRef, useState } from 'react';
import { useCity } from '../../api/queries.ts';
import type { City } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Scroll } from '../../parts/words.tsx';
import { type Filter, filterText, listOf, ORIGINS, SEVERITIES, STATUSES, WORKING } from './filter.ts';
import { Saved } from './Saved.tsx';

interface Props {
  readonly filter: Filter;
  readonly change: (change: Partial<Filter>) => void;
}

/** The filter of the list. */
export function Filters({ filter, change }: Props) {
  const { t, term, language } = useWords();
  const city = useCity();
  const named = (all: readonly { id: string; title: City['name'] }[] = []) =>
    all.map(({ id, title }) => ({ value: id, label: title[language] }));
  const fixed = (group: string, all: readonly string[]) => all.map((value) => ({ value, label: term(group, value) }));
  const choices = {
    severity: fixed('severity', SEVERITIES),
    service: named(city.data?.services),
    department: named(city.data?.departments),
    district: named(city.data?.districts),
    origin: fixed('origin', ORIGINS),
  } as const;
  const isFiltered = filterText(filter) !== '';
  return (
    <search className="stack" aria-label={t('filter')}>
      <Statuses filter={filter} change={change} />
      <div className="bar">
        <Search filter={filter} change={change} />
        {(Object.keys(choices) as (keyof typeof choices)[]).map((key) => (
          <MultiSelect
            key={key}
            aria-label={t(`column.${key}`)}
            placeholder={filter[key] === undefined ? t(`column.${key}`) : ''}
            data={choices[key]}
            value={listOf(filter[key])}
            onChange={(values) => change({ [key]: values.length === 0 ? undefined : values.join(',') })}
            clearable
            clearButtonProps={{ 'aria-label': t('clear') }}
            searchable
            w={170}
          />
        ))}
        <Saved filter={filter} change={change} />
        {isFiltered && (
          <Button
            variant="subtle"
            onClick={() =>
              change({ ...Object.fromEntries(Object.keys(filter).map((key) => [key, undefined])), view: filter.view })
            }
          >
            {t('filter.none')}
          </Button>
        )}
      </div>
    </search>
  );
}

const PAUSE_MS = 300;

/** Searches the words once somebody pauses; what is in the address wins while nobody types. */
function Search({ filter: { q = '' }, change }: Props) {
  const { t } = useWords();
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(q);
  const search = useDebouncedCallback((text: string) => change({ q: text.trim() || undefined }), PAUSE_MS);
  useEffect(() => {
    if (document.activeElement !== field.current) setTyped(q);
  }, [q]);
  return (
    <TextInput
      ref={field}
      type="search"
      aria-label={t('tickets.search')}
      placeholder={t('tickets.search')}
      maxLength={200}
      w={200}
      value={typed}
      onChange={({ currentTarget: { value } }) => {
        setTyped(value);
        search(value);
      }}
    />
  );
}

function Statuses({ filter, change }: Props) {
  const { t, term } = useWords();
  const value = filter.status ?? WORKING.join(',');
  const data = [
    { value: WORKING.join(','), label: t('tickets.working') },
    ...STATUSES.map((status) => ({ value: status as string, label: term('status', status) })),
    { value: 'all', label: t('tickets.all') },
  ];
  if (!data.some((one) => one.value === value)) data.push({ value, label: listOf(value).join(', ') });
  return (
    <Scroll label={t('column.status')}>
      <SegmentedControl
        aria-label={t('column.status')}
        value={value}
        onChange={(status) => change({ status: status === WORKING.join(',') ? undefined : status })}
        data={data}
      />
    </Scroll>
  );
}
