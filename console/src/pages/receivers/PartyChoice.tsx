import { Select } from '@mantine/core';
import { useCity } from '../../api/queries.ts';
import { useWords } from '../../language.ts';
import { useMe } from '../../session.ts';

interface Props {
  readonly value: string | null;
  readonly onChange: (party: string | null) => void;
  readonly required?: boolean;
}

/** Whom a receiver serves: oneself, a department, a contractor or a community. */
export function PartyChoice({ value, onChange, required = false }: Props) {
  const { t, language } = useWords();
  const me = useMe();
  const city = useCity();
  const own = me.person === null ? [] : [{ value: `person:${me.person.id}`, label: t('party.me') }];
  const parties = (city.data?.departments ?? []).map(({ id, title }) => ({ value: id, label: title[language] }));
  return (
    <Select
      label={t('receiver.party')}
      required={required}
      searchable
      clearable={!required}
      clearButtonProps={{ 'aria-label': t('clear') }}
      data={[...own, ...parties]}
      value={value}
      onChange={onChange}
    />
  );
}
