import { Select } from '@mantine/core';
import { useCity } from '../api/queries.ts';
import type { Key } from '../api/schema.ts';
import { useWords } from '../language.ts';

export type Role = Key['role'];

/** Roles of people; keys have two more. */
export const PEOPLE_ROLES = [
  'viewer',
  'operator',
  'dispatcher',
  'rule-author',
  'device-manager',
  'auditor',
  'admin',
] as const satisfies readonly Role[];
export const KEY_ROLES = [...PEOPLE_ROLES, 'citizen-app', 'network-server'] as const satisfies readonly Role[];

interface RoleProps<R extends Role> {
  readonly roles: readonly R[];
  readonly value: R;
  readonly onChange: (role: R) => void;
}

/** What somebody or something may do. The table of roles says what each is for. */
export function RoleChoice<R extends Role>({ roles, value, onChange }: RoleProps<R>) {
  const { t, term } = useWords();
  return (
    <Select
      label={t('role')}
      allowDeselect={false}
      data={roles.map((role) => ({ value: role, label: term('role', role) }))}
      value={value}
      onChange={(chosen) => onChange(roles.find((role) => role === chosen) ?? value)}
    />
  );
}

interface DepartmentProps {
  readonly value: string | null;
  readonly onChange: (department: string | null) => void;
}

/** A department, or the whole city. */
export function DepartmentChoice({ value, onChange }: DepartmentProps) {
  const { t, language } = useWords();
  const city = useCity();
  return (
    <Select
      label={t('column.department')}
      placeholder={t('whole-city')}
      clearable
      clearButtonProps={{ 'aria-label': t('clear') }}
      searchable
      data={(city.data?.departments ?? []).map(({ id, title }) => ({ value: id, label: title[language] }))}
      value={value}
      onChange={onChange}
    />
  );
}
