import { Button, Select, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { Person } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { DepartmentChoice, PEOPLE_ROLES, RoleChoice } from '../../parts/roles.tsx';

/** A link that signs somebody in, once. */
export interface Link {
  readonly name: string;
  readonly address: string;
}

/** Makes a link that signs a person in, such as to choose a password. */
export async function linkFor({ id, name }: Pick<Person, 'id' | 'name'>): Promise<Link> {
  const { path } = await bodyOf(api.POST('/api/v1/users/{id}/link', { params: { path: { id } } }));
  return { name, address: location.origin + path };
}

interface Props {
  /** Null: a new one. */
  readonly person: Person | null;
  readonly close: () => void;
  readonly made: (link: Link) => void;
}

/** Adds a person, who gets a link to choose a password with, or changes one. */
export function PersonForm({ person, close, made }: Props) {
  const { t } = useWords();
  const client = useQueryClient();
  const [name, setName] = useState(person?.name ?? '');
  const [email, setEmail] = useState(person?.email ?? '');
  const [language, setLanguage] = useState(person?.language ?? 'zh');
  const [roles, setRoles] = useState<Person['roles']>(person?.roles ?? [{ role: 'operator', department: null }]);
  async function run() {
    const body = { name, email, language, roles };
    if (person === null) made(await linkFor(await bodyOf(api.POST('/api/v1/users', { body }))));
    else {
      const params = { path: { id: person.id }, header: { 'If-Match': `"${person.version}"` } };
      await bodyOf(api.PATCH('/api/v1/users/{id}', { params, body }));
    }
    await client.invalidateQueries({ queryKey: ['people'] });
    close();
  }
  const title = person === null ? t('person.new') : t('person.change');
  return (
    <FormDialog title={title} submit={person === null ? title : t('save')} close={close} run={run}>
      <TextInput
        data-autofocus
        label={t('name')}
        required
        maxLength={200}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <TextInput
        type="email"
        label={t('email')}
        required
        value={email}
        onChange={(event) => setEmail(event.currentTarget.value)}
      />
      <Select
        label={t('language')}
        allowDeselect={false}
        data={[
          { value: 'zh', label: '中文' },
          { value: 'en', label: 'English' },
        ]}
        value={language}
        onChange={(chosen) => setLanguage(chosen === 'en' ? 'en' : 'zh')}
      />
      <Roles roles={roles} onChange={setRoles} />
    </FormDialog>
  );
}

interface RolesProps {
  readonly roles: Person['roles'];
  readonly onChange: (roles: Person['roles']) => void;
}

/** Roles, each in a department or for the whole city. */
function Roles({ roles, onChange }: RolesProps) {
  const { t } = useWords();
  const set = (at: number, some: Partial<Person['roles'][number]>) =>
    onChange(roles.map((one, i) => (i === at ? { ...one, ...some } : one)));
  return (
    <>
      {roles.map(({ role, department }, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a role has no name of its own; it is its place in the list.
        <fieldset key={i} className="stack">
          <legend>{t('person.role', { n: i + 1 })}</legend>
          <RoleChoice roles={PEOPLE_ROLES} value={role} onChange={(chosen) => set(i, { role: chosen })} />
          <DepartmentChoice value={department} onChange={(chosen) => set(i, { department: chosen })} />
          {roles.length > 1 && (
            <Button variant="default" onClick={() => onChange(roles.filter((_, at) => at !== i))}>
              {t('person.role-less')}
            </Button>
          )}
        </fieldset>
      ))}
      <Button variant="default" onClick={() => onChange([...roles, { role: 'viewer', department: null }])}>
        {t('person.role-more')}
      </Button>
    </>
  );
}
