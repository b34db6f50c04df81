import { Select, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { type Filter, FilterFields, given } from './FilterFields.tsx';
import { PartyChoice } from './PartyChoice.tsx';

const FORMATS = ['cloudevents', 'cloudevents-binary', 'alertmanager', 'cap'] as const;

interface Props {
  readonly close: () => void;
  readonly made: (secret: string) => void;
}

/** Adds another system that is sent events from now on. */
export function NewWebhook({ close, made }: Props) {
  const { t } = useWords();
  const client = useQueryClient();
  const [url, setUrl] = useState('');
  const [description, setDescription] = useState('');
  const [format, setFormat] = useState<(typeof FORMATS)[number]>('cloudevents');
  const [party, setParty] = useState<string | null>(null);
  const [authorization, setAuthorization] = useState('');
  const [filter, setFilter] = useState<Filter>({});
  async function run() {
    const body = {
      ...{ url, description, format, party, filter: given(filter) },
      authorization: authorization === '' ? null : authorization,
    };
    const { secret } = await bodyOf(api.POST('/api/v1/webhooks', { body }));
    await client.invalidateQueries({ queryKey: ['webhooks'] });
    close();
    made(secret);
  }
  return (
    <FormDialog title={t('webhook.new')} submit={t('webhook.new')} close={close} run={run}>
      <TextInput
        data-autofocus
        type="url"
        label={t('webhook.url')}
        placeholder="https://city.example/hooks/lamppost"
        required
        value={url}
        onChange={(event) => setUrl(event.currentTarget.value)}
      />
      <TextInput
        label={t('webhook.description')}
        maxLength={500}
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      <Select
        label={t('webhook.format')}
        allowDeselect={false}
        data={[...FORMATS]}
        value={format}
        onChange={(chosen) => setFormat(FORMATS.find((one) => one === chosen) ?? format)}
      />
      <PartyChoice value={party} onChange={setParty} />
      <FilterFields value={filter} onChange={setFilter} />
      <TextInput
        label={t('webhook.authorization')}
        description={t('webhook.authorization.about')}
        autoComplete="off"
        value={authorization}
        onChange={(event) => setAuthorization(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
