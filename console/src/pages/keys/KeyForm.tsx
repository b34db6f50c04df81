import { MultiSelect, TagsInput, Textarea, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { Key, Me } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { DepartmentChoice, KEY_ROLES, type Role, RoleChoice } from '../../parts/roles.tsx';
import { useMe } from '../../session.ts';
import type { Made } from '../Keys.tsx';

interface Props {
  /** Null: a new one. */
  readonly of: Key | null;
  readonly close: () => void;
  readonly made: (made: Made) => void;
}

/** Makes a key, or changes what it is for and until when; what it may do stays as it was made. */
export function KeyForm({ of, close, made }: Props) {
  const { t } = useWords();
  const me = useMe();
  const client = useQueryClient();
  const [name, setName] = useState(of?.name ?? '');
  const [note, setNote] = useState(of?.note ?? '');
  const [role, setRole] = useState<Role>(of?.role ?? 'viewer');
  const [department, setDepartment] = useState<string | null>(null);
  const [scopes, setScopes] = useState<string[]>([]);
  const [devices, setDevices] = useState<string[]>(() =>
    typeof of?.uplinks === 'object' ? (of.uplinks.devices ?? []) : [],
  );
  const expiry = of?.expiresAt ? localTime(of.expiresAt) : '';
  const [until, setUntil] = useState(expiry);
  // The version that is being changed: what others save meanwhile is a conflict, not overwritten.
  const [version] = useState(of?.version ?? 0);
  // Tags and applications are set by the API: the form leaves them as they are.
  const kept = typeof of?.uplinks === 'object' ? of.uplinks : null;
  const isKept = kept !== null && (kept.tags !== undefined || kept.applications !== undefined);
  const expiresAt = until === '' ? null : new Date(until).toISOString();
  const uplinks = devices.length === 0 ? ('all' as const) : { devices };
  async function change(id: string) {
    const end = until === expiry ? {} : { expiresAt };
    const body = { name, note, ...end, ...(role !== 'network-server' || isKept ? {} : { uplinks }) };
    const params = { path: { id }, header: { 'If-Match': `"${version}"` } };
    await bodyOf(api.PATCH('/api/v1/keys/{id}', { params, body }));
    await client.invalidateQueries({ queryKey: ['keys'] });
    close();
  }
  async function make() {
    const some = me.rights.filter((right) => scopes.includes(right));
    const body = {
      ...{ name, note, role, department },
      expiresAt,
      ...(some.length === 0 ? {} : { scopes: some }),
      ...(role !== 'network-server' ? {} : { uplinks }),
    };
    const { secret } = await bodyOf(api.POST('/api/v1/keys', { body }));
    await client.invalidateQueries({ queryKey: ['keys'] });
    close();
    made({ name, secret });
  }
  return (
    <FormDialog
      title={t(of === null ? 'key.new' : 'key.change')}
      submit={t(of === null ? 'key.new' : 'save')}
      close={close}
      run={() => (of === null ? make() : change(of.id))}
    >
      <TextInput
        data-autofocus
        label={t('key.name')}
        required
        maxLength={200}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      {of === null && (
        <>
          <RoleChoice roles={KEY_ROLES} value={role} onChange={setRole} />
          <DepartmentChoice value={department} onChange={setDepartment} />
          {role !== 'network-server' && <Scopes rights={me.rights} value={scopes} onChange={setScopes} />}
        </>
      )}
      {role === 'network-server' && !isKept && (
        <TagsInput
          size="xs"
          label={t('key.devices')}
          description={t('key.devices.about')}
          value={devices}
          onChange={setDevices}
        />
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

/** A time as `datetime-local` has it: of this place, without a zone. */
function localTime(iso: string): string {
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
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
