import { Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useWords } from '../language.ts';

interface Props {
  readonly value: string | null;
  readonly onChange: (asset: string | null) => void;
}

/** Chooses a pole, bin or manhole of the city by its words; there may be many thousands. */
export function AssetField({ value, onChange }: Props) {
  const { t, language } = useWords();
  const [words, setWords] = useState('');
  const { data } = useQuery({
    queryKey: ['assets', words],
    staleTime: 60_000,
    placeholderData: (before) => before,
    queryFn: () => {
      const query = { limit: 50, ...(words.trim() === '' ? {} : { q: words.trim() }) };
      return bodyOf(api.GET('/api/v1/assets', { params: { query } }));
    },
  });
  const found = data?.items.map(({ id, title }) => ({ value: id, label: title?.[language] ?? id })) ?? [];
  const own = value === null || found.some((one) => one.value === value) ? [] : [{ value, label: value }];
  return (
    <Select
      label={t('asset')}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': t('clear') }}
      nothingFoundMessage={t('asset.none')}
      // The server has looked already.
      filter={({ options }) => options}
      data={[...own, ...found]}
      value={value}
      onChange={onChange}
      onSearchChange={setWords}
    />
  );
}
