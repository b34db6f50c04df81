import { MultiSelect, TagsInput, Textarea, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { Me } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { DepartmentChoice, KEY_ROLES, type Role, RoleChoice } from '../../parts/roles.tsx';
import { useMe } from '../../session.ts';
import type { Made } from '../Keys.tsx';

interface Props {
  readonly close: () => void;
  readonly made: (made: Made) => void;
}

/** Makes a key: what it is for, what it may do, and until when. */
export function NewKey({ close, made }: Props) {
  const { t } = useWords();
  const me = useMe();
  const client = useQueryClient();
  const [name, setName] = useState('');
  const [note, setNote] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [department, setDepartment] = useState<string | null>(null);
  const [scopes, setScopes] = useState<string[]>([]);
  const [devices, setDevices] = useState<string[]>([]);
  const [until, setUntil] = useState('');
  async function run() {
    const some = me.rights.filter((right) => scopes.includes(right));
    const body = {
      ...{ name, note, role, department },
      expiresAt: until === '' ? null : new Date(until).toISOString(),
      ...(some.length === 0 ? {} : { scopes: some }),
      ...(role !== 'network-server' ? {} : { uplinks: devices.length === 0 ? ('all' as const) : { devices } }),
    };
    const { secret } = await bodyOf(api.POST('/api/v1/keys', { body }));
    await client.invalidateQueries({ queryKey: ['keys'] });
    close();
    made({ name, secret });
  }
  return (
    <FormDialog title={t('key.new')} submit={t('key.new')} close={close} run={run}>
      <TextInput
        data-autofocus
        label={t('key.name')}
        required
        maxLength={200}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <RoleChoice roles={KEY_ROLES} value={role} onChange={setRole} />
      <DepartmentChoice value={department} onChange={setDepartment} />
      {role === 'network-server' ? (
        <TagsInput
          size="xs"
          label={t('key.devices')}
          description={t('key.devices.about')}
          value={devices}
          onChange={setDevices}
        />
      ) : (
        <Scopes rights={me.rights} value={scopes} onChange={setScopes} />
      )}
      <TextInput
        type="datetime-local"
        label={t('key.expires')}
        description={t('key.expires.about')}
        value={until}
        onChange={(event) => setUntil(event.currentTarget.value)}
      />
      <Textarea
        label={t('note')}
        maxLength={1_000}
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

interface ScopesProps {
  readonly rights: Me['rights'];
  readonly value: string[];
  readonly onChange: (scopes: string[]) => void;
}

/** Makes a key narrower than its role. */
function Scopes({ rights, value, onChange }: ScopesProps) {
  const { t } = useWords();
  return (
    <MultiSelect
      label={t('key.scopes')}
      description={t('key.scopes.about')}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': t('clear') }}
      data={rights}
      value={value}
      onChange={onChange}
    />
  );
}
