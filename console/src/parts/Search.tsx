import { TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useEffect, useRef, useState } from 'react';
import { useWords } from '../language.ts';

const PAUSE_MS = 300;

interface Props {
  readonly q: string | undefined;
  readonly onChange: (q: string | undefined) => void;
}

/** Searches the words once somebody pauses; what is in the address wins while nobody types. */
export function Search({ q = '', onChange }: Props) {
  const { t } = useWords();
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(q);
  const search = useDebouncedCallback((text: string) => onChange(text.trim() || undefined), PAUSE_MS);
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
