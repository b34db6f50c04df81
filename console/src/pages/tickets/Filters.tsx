import { Button, MultiSelect, SegmentedControl, Select } from '@mantine/core';
import { useCity } from '../../api/queries.ts';
import type { City } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { PlaceFilter } from '../../parts/PlaceFilter.tsx';
import { Search } from '../../parts/Search.tsx';
import { Scroll } from '../../parts/words.tsx';
import { type Filter, filterText, listOf, ORDERS, ORIGINS, SEVERITIES, STATUSES, WORKING } from './filter.ts';
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
        <Search q={filter.q} onChange={(q) => change({ q })} />
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
        <PlaceFilter value={filter} onChange={change} />
        <Select
          aria-label={t('sort')}
          allowDeselect={false}
          data={ORDERS.map((value) => ({ value, label: term('sort', value) }))}
          value={filter.sort ?? '-opened'}
          onChange={(sort) => change({ sort: sort === '-opened' ? undefined : (sort ?? undefined) })}
          w={170}
        />
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
