import { Modal, Select, TagsInput, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { Device } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { AssetField } from '../../parts/AssetField.tsx';
import { FormDialog } from '../../parts/Form.tsx';
import { PlaceField } from '../../parts/PlaceField.tsx';
import { districtAt, type Place } from '../../parts/places.ts';
import { Secret } from '../devices/Secret.tsx';

interface Props {
  readonly device: Device;
  /** `replace`: other hardware takes its place, and gets a new secret. */
  readonly how: 'change' | 'replace';
  readonly close: () => void;
}

/** Changes the name, kind and place of a device, or puts other hardware in its place. */
export function Change({ device, how, close }: Props) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const city = useCity();
  const [name, setName] = useState(device.name ?? '');
  const [profile, setProfile] = useState(device.profile);
  const [district, setDistrict] = useState(device.district);
  const [place, setPlace] = useState<Place | null>(device.location ?? null);
  const [gateway, setGateway] = useState(device.gateway ?? '');
  const [asset, setAsset] = useState<string | null>(device.asset ?? null);
  const [tags, setTags] = useState(() => Object.entries(device.tags ?? {}).map(([tag, value]) => `${tag}=${value}`));
  const [devEui, setDevEui] = useState('');
  const [secret, setSecret] = useState<string | null>(null);
  // The version that is being changed: what others save meanwhile is a conflict, not overwritten.
  const [version] = useState(device.version);
  function pin(at: Place | null) {
    setPlace(at);
    const found = at === null || city.data === undefined ? null : districtAt(city.data, at);
    if (found !== null) setDistrict(found);
  }
  async function run() {
    const body = {
      ...{ profile, district, asset, location: place, tags: patchOf(device.tags ?? {}, tags) },
      name: name.trim() || null,
      gateway: gateway.trim() || null,
    };
    const path = { id: device.id };
    const header = { 'If-Match': `"${version}"` };
    if (how === 'change') {
      await bodyOf(api.PATCH('/api/v1/devices/{id}', { params: { path, header }, body }));
      close();
    } else {
      const eui = devEui.replaceAll(/[\s:-]/g, '');
      const wanted = eui === '' ? body : { ...body, devEui: eui };
      const made = await bodyOf(api.POST('/api/v1/devices/{id}/replace', { params: { path, header }, body: wanted }));
      // LoRaWAN hardware has its keys at the network server.
      if (eui === '') setSecret(made.secret);
      else close();
    }
    for (const key of ['device', 'devices', 'placed']) void client.invalidateQueries({ queryKey: [key] });
  }
  const title = t(how === 'change' ? 'device.change' : 'device.replace');
  if (secret !== null) {
    return (
      <Modal
        opened
        onClose={close}
        closeOnClickOutside={false}
        title={title}
        closeButtonProps={{ 'aria-label': t('close') }}
      >
        <Secret device={device.id} secret={secret} />
      </Modal>
    );
  }
  const named = (kind: 'profiles' | 'districts') =>
    (city.data?.[kind] ?? []).map((one) => ({ value: one.id, label: one.title[language] }));
  return (
    <FormDialog title={title} submit={title} close={close} run={run}>
      {how === 'replace' && (
        <>
          <p>{t('device.replace.about')}</p>
          <TextInput
            label={t('device.dev-eui')}
            description={t('device.dev-eui.about')}
            placeholder={device.devEui ?? device.id}
            maxLength={40}
            value={devEui}
            onChange={(event) => setDevEui(event.currentTarget.value)}
          />
        </>
      )}
      <TextInput
        label={t('name')}
        maxLength={200}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Select
        label={t('column.profile')}
        searchable
        allowDeselect={false}
        data={named('profiles')}
        value={profile}
        onChange={(value) => setProfile(value ?? profile)}
      />
      <PlaceField at={place} change={pin} />
      <Select
        label={t('column.district')}
        searchable
        allowDeselect={false}
        data={named('districts')}
        value={district}
        onChange={(value) => setDistrict(value ?? district)}
      />
      <AssetField value={asset} onChange={setAsset} />
      <TextInput
        label={t('device.gateway')}
        maxLength={200}
        value={gateway}
        onChange={(event) => setGateway(event.currentTarget.value)}
      />
      <TagsInput
        size="xs"
        label={t('device.tags')}
        description={t('device.tags.about')}
        value={tags}
        onChange={setTags}
      />
    </FormDialog>
  );
}

/** A merge patch (RFC 7396): tags that are there no more become null. */
function patchOf(before: Readonly<Record<string, string>>, tags: readonly string[]): Record<string, string | null> {
  const now = tags.map((tag) => {
    const [name = '', ...value] = tag.split('=');
    return [name.trim(), value.join('=').trim()] as const;
  });
  return { ...Object.fromEntries(Object.keys(before).map((name) => [name, null])), ...Object.fromEntries(now) };
}
