import { Select, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { WebhookInFull } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { type Filter, FilterFields, given } from './FilterFields.tsx';
import { PartyChoice } from './PartyChoice.tsx';

const FORMATS = ['cloudevents', 'cloudevents-binary', 'alertmanager', 'cap'] as const;

interface Props {
  /** Null: a new one. */
  readonly of: WebhookInFull | null;
  readonly close: () => void;
  readonly made: (secret: string) => void;
}

/** Adds another system that is sent events from now on, or changes what is sent to it. */
export function WebhookForm({ of, close, made }: Props) {
  const { t } = useWords();
  const client = useQueryClient();
  const [url, setUrl] = useState(of?.url ?? '');
  const [description, setDescription] = useState(of?.description ?? '');
  const [format, setFormat] = useState<(typeof FORMATS)[number]>(of?.format ?? 'cloudevents');
  const [party, setParty] = useState<string | null>(of?.party ?? null);
  const [authorization, setAuthorization] = useState('');
  const [filter, setFilter] = useState<Filter>(of?.filter ?? {});
  const [none, setNone] = useState(false);
  // One that serves subscriptions only has no filter, and keeps none.
  const isOwn = of === null || of.filter !== null;
  async function run() {
    const settings = { url, description, format, party, ...(isOwn ? { filter: given(filter) } : {}) };
    const header = none ? { authorization: null } : authorization === '' ? {} : { authorization };
    const body = { ...settings, ...header };
    if (of === null) made((await bodyOf(api.POST('/api/v1/webhooks', { body }))).secret);
    else await bodyOf(api.PATCH('/api/v1/webhooks/{id}', { params: { path: { id: of.id } }, body }));
    await client.invalidateQueries({ queryKey: ['webhooks'] });
    close();
  }
  const title = t(of === null ? 'webhook.new' : 'device.change');
  return (
    <FormDialog title={title} submit={of === null ? title : t('save')} close={close} run={run}>
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
      {isOwn && <FilterFields value={filter} onChange={setFilter} />}
      <TextInput
        label={t('webhook.authorization')}
        description={t(of?.authorization ? 'webhook.authorization.kept' : 'webhook.authorization.about')}
        autoComplete="off"
        disabled={none}
        value={authorization}
        onChange={(event) => setAuthorization(event.currentTarget.value)}
      />
      {of?.authorization && (
        <label>
          <input type="checkbox" checked={none} onChange={(event) => setNone(event.currentTarget.checked)} />{' '}
          {t('webhook.authorization.none')}
        </label>
      )}
    </FormDialog>
  );
}
