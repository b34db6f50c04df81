import { Select, Textarea, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/client.ts';
import { ticketOf, useCity } from '../../api/queries.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { AssetField } from '../../parts/AssetField.tsx';
import { FormDialog } from '../../parts/Form.tsx';
import { PlaceField } from '../../parts/PlaceField.tsx';
import { districtAt, type Place } from '../../parts/places.ts';
import { useMayIn } from '../../session.ts';
import { SEVERITIES } from './filter.ts';

const EMPTY = { service: '', title: '', description: '', district: '', address: '', severity: 'medium' };

/** Opens a ticket by hand. A pin on the map also says the district. */
export function NewTicket({ close }: { readonly close: () => void }) {
  const { t, term, language } = useWords();
  const client = useQueryClient();
  const navigate = useNavigate();
  const city = useCity();
  const mayIn = useMayIn();
  const [fields, setFields] = useState(EMPTY);
  const [place, setPlace] = useState<Place | null>(null);
  const [asset, setAsset] = useState<string | null>(null);
  const set = (some: Partial<typeof EMPTY>) => setFields((before) => ({ ...before, ...some }));
  function pin(at: Place | null) {
    setPlace(at);
    const district = at === null || city.data === undefined ? null : districtAt(city.data, at);
    if (district !== null) set({ district });
  }
  async function run() {
    const { description, address, severity, ...rest } = fields;
    const body = {
      ...rest,
      severity: severity as ShownTicket['severity'],
      ...(description === '' ? {} : { description }),
      ...(address === '' ? {} : { address }),
      ...(place === null ? {} : { location: place }),
      ...(asset === null ? {} : { asset }),
    };
    const { data } = await ticketOf(api.POST('/api/v1/tickets', { body }));
    for (const key of ['tickets', 'counts']) void client.invalidateQueries({ queryKey: [key] });
    close();
    await navigate({ to: '/tickets/$id', params: { id: data.id } });
  }
  const services = city.data?.services.filter(({ department }) => mayIn('tickets.open', department)) ?? [];
  const named = (all: readonly { id: string; title: { en: string; zh: string } }[] = []) =>
    all.map(({ id, title }) => ({ value: id, label: title[language] }));
  return (
    <FormDialog title={t('ticket.new')} submit={t('ticket.open')} close={close} run={run}>
      <TextInput
        data-autofocus
        label={t('column.title')}
        required
        maxLength={200}
        value={fields.title}
        onChange={(event) => set({ title: event.currentTarget.value })}
      />
      <Select
        label={t('column.service')}
        required
        searchable
        data={named(services)}
        value={fields.service || null}
        onChange={(service) => set({ service: service ?? '' })}
      />
      <PlaceField at={place} change={pin} />
      <AssetField value={asset} onChange={setAsset} />
      <Select
        label={t('column.district')}
        required
        searchable
        data={named(city.data?.districts)}
        value={fields.district || null}
        onChange={(district) => set({ district: district ?? '' })}
      />
      <TextInput
        label={t('address')}
        maxLength={400}
        value={fields.address}
        onChange={(event) => set({ address: event.currentTarget.value })}
      />
      <Select
        label={t('column.severity')}
        allowDeselect={false}
        data={SEVERITIES.map((value) => ({ value, label: term('severity', value) }))}
        value={fields.severity}
        onChange={(severity) => set({ severity: severity ?? fields.severity })}
      />
      <Textarea
        label={t('description')}
        autosize
        minRows={2}
        maxRows={8}
        maxLength={4_000}
        value={fields.description}
        onChange={(event) => set({ description: event.currentTarget.value })}
      />
    </FormDialog>
  );
}
