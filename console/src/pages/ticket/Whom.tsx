import { Select, TextInput } from '@mantine/core';
import { useCity } from '../../api/queries.ts';
import { useWords } from '../../language.ts';

interface Props {
  readonly to: string | null;
  readonly setTo: (to: string | null) => void;
  readonly assignee: string;
  readonly setAssignee: (assignee: string) => void;
}

/** To whom: a department, contractor or group, and a person of it. */
export function Whom({ to, setTo, assignee, setAssignee }: Props) {
  const { t, language } = useWords();
  const city = useCity();
  return (
    <div className="bar">
      <Select
        label={t('party')}
        placeholder={t('party.choose')}
        data={city.data?.departments.map(({ id, title }) => ({ value: id, label: title[language] })) ?? []}
        value={to}
        onChange={setTo}
        clearable
        clearButtonProps={{ 'aria-label': t('clear') }}
        searchable
      />
      <TextInput
        label={t('assignee')}
        maxLength={200}
        value={assignee}
        onChange={(event) => setAssignee(event.currentTarget.value)}
      />
    </div>
  );
}
