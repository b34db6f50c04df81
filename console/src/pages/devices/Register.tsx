import { Modal, Select, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { NewDevice } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { PlaceField } from '../../parts/PlaceField.tsx';
import { districtAt, type Place } from '../../parts/places.ts';
import { Secret } from './Secret.tsx';

const EMPTY = { id: '', name: '', profile: '', district: '' };

interface Props {
  /** The id, where it is known already. */
  readonly id?: string;
  readonly close: () => void;
}

/** Registers a device, and shows its secret. */
export function Register({ id: known = '', close }: Props) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const city = useCity();
  const [fields, setFields] = useState({ ...EMPTY, id: known });
  const [place, setPlace] = useState<Place | null>(null);
  const [made, setMade] = useState<NewDevice | null>(null);
  const set = (some: Partial<typeof EMPTY>) => setFields((before) => ({ ...before, ...some }));
  function pin(at: Place | null) {
    setPlace(at);
    const district = at === null || city.data === undefined ? null : districtAt(city.data, at);
    if (district !== null) set({ district });
  }
  const named = (kind: 'profiles' | 'districts') =>
    (city.data?.[kind] ?? []).map(({ id, title }) => ({ value: id, label: title[language] }));
  if (made !== null) {
    return (
      <Modal
        opened
        onClose={close}
        closeOnClickOutside={false}
        title={t('device.registered', { id: made.id })}
        closeButtonProps={{ 'aria-label': t('close') }}
      >
        <Secret device={made.id} secret={made.secret ?? ''} />
      </Modal>
    );
  }
  async function run() {
    const { id, name, profile, district } = fields;
    const body = { id, profile, district, ...(name === '' ? {} : { name }), ...(place && { location: place }) };
    const device = await bodyOf(api.POST('/api/v1/devices', { body }));
    setMade(device as NewDevice);
    await client.invalidateQueries({ queryKey: ['devices'] });
  }
  return (
    <FormDialog title={t('device.register')} submit={t('device.register')} close={close} run={run}>
      <TextInput
        data-autofocus
        label={t('device.id')}
        description={t('device.id.about')}
        required
        pattern="[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}"
        value={fields.id}
        onChange={(event) => set({ id: event.currentTarget.value })}
      />
      <TextInput label={t('name')} value={fields.name} onChange={(event) => set({ name: event.currentTarget.value })} />
      <Select
        label={t('column.profile')}
        required
        searchable
        data={named('profiles')}
        value={fields.profile || null}
        onChange={(profile) => set({ profile: profile ?? '' })}
      />
      <Select
        label={t('column.district')}
        required
        searchable
        data={named('districts')}
        value={fields.district || null}
        onChange={(district) => set({ district: district ?? '' })}
      />
      <PlaceField at={place} change={pin} />
    </FormDialog>
  );
}
