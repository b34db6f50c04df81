import { TextInput } from '@mantine/core';
import { useWords } from '../language.ts';

interface Props {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly id?: string;
  /** Why what was typed is refused; empty: it is not. */
  readonly refused?: string;
}

/** The bounds of passwords, as the server has them. */
const PASSWORD = { minLength: 12, maxLength: 200 } as const;

/** A field for a password that is chosen. */
export function NewPassword({ value, onChange, refused, ...rest }: Props) {
  const { t } = useWords();
  return (
    <TextInput
      {...rest}
      {...PASSWORD}
      type="password"
      label={t('sign-in.choose')}
      autoComplete="new-password"
      required
      error={refused || undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

interface CurrentProps extends Props {
  readonly label: string;
}

/** A field for the password that one has. */
export function CurrentPassword({ value, onChange, refused, ...rest }: CurrentProps) {
  return (
    <TextInput
      {...rest}
      type="password"
      autoComplete="current-password"
      required
      maxLength={PASSWORD.maxLength}
      error={refused || undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** A field for a code of the authenticator. */
export function Code({ value, onChange, refused, ...rest }: Props & { readonly focused?: boolean }) {
  const { t } = useWords();
  const { focused = false, ...named } = rest;
  return (
    <TextInput
      {...named}
      label={t('code')}
      inputMode="numeric"
      autoComplete="one-time-code"
      pattern="[0-9]{6}"
      required
      ref={focused ? (input) => input?.focus() : undefined}
      error={refused || undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
