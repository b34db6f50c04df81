import { Select } from '@mantine/core';
import { useWords } from '../language.ts';

interface Props {
  readonly label: string;
  readonly data: readonly { readonly value: string; readonly label: string }[];
  readonly value: string | undefined;
  readonly onChange: (value: string | undefined) => void;
}

/** A filter of one value, or none. */
export function Choice({ label, data, value, onChange }: Props) {
  const { t } = useWords();
  return (
    <Select
      aria-label={label}
      placeholder={label}
      data={[...data]}
      value={value ?? null}
      onChange={(chosen) => onChange(chosen ?? undefined)}
      clearable
      clearButtonProps={{ 'aria-label': t('clear') }}
      searchable
      w={200}
    />
  );
}
