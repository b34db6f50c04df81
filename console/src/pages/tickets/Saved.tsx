import { Button, Select, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useWords } from '../../language.ts';
import { createStore, useStore } from '../../store.ts';
import { type Filter, filtersIn, filterText } from './filter.ts';

interface SavedFilter {
  readonly name: string;
  /** As the address has it. */
  readonly text: string;
}

const KEPT = 'ticket-filters';
const MOST = 50;
const store = createStore<readonly SavedFilter[]>(read());

/** What this browser keeps; nothing where it is not what it was. */
function read(): SavedFilter[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? '[]') as Partial<SavedFilter>[];
    return found.flatMap(({ name, text }) => (name === undefined || text === undefined ? [] : [{ name, text }]));
  } catch {
    return [];
  }
}

function write(filters: readonly SavedFilter[]): void {
  localStorage.setItem(KEPT, JSON.stringify(filters));
  store.set(filters);
}

interface Props {
  readonly filter: Filter;
  readonly change: (change: Partial<Filter>) => void;
}

/** Filters that were saved under a name in this browser: chosen, added and forgotten. */
export function Saved({ filter, change }: Props) {
  const { t } = useWords();
  const saved = useStore(store);
  const [name, setName] = useState<string | null>(null);
  const text = filterText(filter);
  const chosen = saved.find((one) => one.text === text);
  function choose(wanted: string | null) {
    const found = saved.find((one) => one.name === wanted);
    const none = Object.fromEntries(Object.keys(filter).map((key) => [key, undefined]));
    const next = filtersIn(Object.fromEntries(new URLSearchParams(found?.text ?? '')));
    change({ ...none, ...next, view: filter.view });
  }
  function save(event: FormEvent) {
    event.preventDefault();
    const given = name?.trim() ?? '';
    if (given === '') return;
    write([...saved.filter((one) => one.name !== given), { name: given, text }].slice(-MOST));
    setName(null);
  }
  if (name !== null) {
    return (
      <form className="bar" onSubmit={save}>
        <TextInput
          autoFocus
          aria-label={t('filter.name')}
          placeholder={t('filter.name')}
          maxLength={60}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          onKeyDown={(event) => event.key === 'Escape' && setName(null)}
        />
        <Button type="submit" variant="default">
          {t('save')}
        </Button>
      </form>
    );
  }
  return (
    <>
      {saved.length > 0 && (
        <Select
          aria-label={t('filter.saved')}
          placeholder={t('filter.saved')}
          data={saved.map((one) => one.name)}
          value={chosen?.name ?? null}
          onChange={choose}
          clearable
          clearButtonProps={{ 'aria-label': t('clear') }}
          w={170}
        />
      )}
      {chosen === undefined && text !== '' && (
        <Button variant="subtle" onClick={() => setName('')}>
          {t('filter.save')}
        </Button>
      )}
      {chosen !== undefined && (
        <Button variant="subtle" onClick={() => write(saved.filter((one) => one !== chosen))}>
          {t('filter.forget')}
        </Button>
      )}
    </>
  );
}
