import { MultiSelect, Select, TagsInput, Textarea, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import { useWords } from '../../language.ts';
import { useAct } from '../../parts/acting.tsx';
import { FormDialog } from '../../parts/Form.tsx';
import { toast } from '../../parts/toasts.tsx';
import { useMe } from '../../session.ts';
import type { SilenceStart } from '../Silences.tsx';

const HOURS = ['1', '4', '12', '24', '72', '168', '720', '4380', '8760'];
const HOUR_MS = 3_600_000;

interface Props {
  readonly start: SilenceStart;
  readonly close: () => void;
}

/** Makes a silence: what it is about, for how long, and why. */
export function NewSilence({ start, close }: Props) {
  const { t, duration, language } = useWords();
  const client = useQueryClient();
  const act = useAct('silences', 'silence-times');
  const city = useCity();
  const rules = useQuery({
    queryKey: ['rules'],
    queryFn: () => bodyOf(api.GET('/api/v1/rules', { params: { query: { limit: 1000 } } })),
  });
  const [rule, setRule] = useState(start.rule === undefined ? [] : [start.rule]);
  const [device, setDevice] = useState(start.device === undefined ? [] : [start.device]);
  const [district, setDistrict] = useState(start.district === undefined ? [] : [start.district]);
  // Who works for departments silences what is theirs.
  const own = useMe().reach.filter(({ rights }) => rights.includes('silences.write'));
  const bound = own.some(({ department }) => department === null) ? [] : own.flatMap((one) => one.department ?? []);
  const [department, setDepartment] = useState(bound);
  const [calendar, setCalendar] = useState<string | null>(null);
  const [from, setFrom] = useState('');
  const [hours, setHours] = useState('4');
  const [comment, setComment] = useState('');
  async function run() {
    const all = Object.entries({ rule, device, district, department }).filter(([, values]) => values.length > 0);
    const fromMs = from === '' ? Date.now() : Date.parse(from);
    const body = {
      matchers: Object.fromEntries(all),
      ...(from === '' ? {} : { startsAt: new Date(fromMs).toISOString() }),
      endsAt: new Date(fromMs + Number(hours) * HOUR_MS).toISOString(),
      calendar,
      comment,
    };
    const { id } = await bodyOf(api.POST('/api/v1/silences', { body }));
    const undo = async () => {
      await bodyOf(api.DELETE('/api/v1/silences/{id}', { params: { path: { id } } }));
      toast(t('undone'));
    };
    toast(t('silence.made'), false, () => act.mutate(undo));
    for (const key of ['silences', 'silence-times']) await client.invalidateQueries({ queryKey: [key] });
    close();
  }
  const named = (all: readonly { id: string; title: { en: string; zh: string } }[] = []) =>
    all.map(({ id, title }) => ({ value: id, label: title[language] }));
  const clear = { clearable: true, clearButtonProps: { 'aria-label': t('clear') } } as const;
  return (
    <FormDialog title={t('silence.new')} submit={t('silence.new')} close={close} run={run}>
      <MultiSelect
        {...clear}
        label={t('rule')}
        searchable
        data={rules.data?.items.map(({ id }) => id) ?? []}
        value={rule}
        onChange={setRule}
      />
      <TagsInput {...clear} size="xs" label={t('column.device')} value={device} onChange={setDevice} />
      <MultiSelect
        {...clear}
        label={t('column.district')}
        searchable
        data={named(city.data?.districts)}
        value={district}
        onChange={setDistrict}
      />
      <MultiSelect
        {...clear}
        label={t('column.department')}
        searchable
        data={named(city.data?.departments.filter(({ id }) => bound.length === 0 || bound.includes(id)))}
        value={department}
        onChange={setDepartment}
      />
      <Select
        {...clear}
        label={t('silence.during')}
        placeholder={t('silence.always')}
        data={named(city.data?.calendars)}
        value={calendar}
        onChange={setCalendar}
      />
      <TextInput
        type="datetime-local"
        label={t('silence.begins')}
        value={from}
        onChange={(event) => setFrom(event.currentTarget.value)}
      />
      <Select
        label={t('silence.for')}
        allowDeselect={false}
        data={HOURS.map((value) => ({ value, label: duration(Number(value) * HOUR_MS) }))}
        value={hours}
        onChange={(value) => setHours(value ?? hours)}
      />
      <Textarea
        data-autofocus
        label={t('silence.comment')}
        required
        maxLength={2_000}
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
