import { Button, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useWords } from '../../language.ts';
import { toast } from '../../parts/toasts.tsx';
import { refusalOf, setPassword } from '../../session.ts';

export function Password({ has }: { readonly has: boolean }) {
  const { t } = useWords();
  const [current, setCurrent] = useState('');
  const [password, setNew] = useState('');
  const [refused, setRefused] = useState('');
  async function submit(event: FormEvent) {
    event.preventDefault();
    setRefused('');
    try {
      await setPassword(password, has ? current : undefined);
      setCurrent('');
      setNew('');
      toast(t('password.done'));
    } catch (error) {
      setRefused(refusalOf(error));
    }
  }
  return (
    <form className="panel stack" onSubmit={submit} aria-label={t('password.change')}>
      <h2>{t('password.change')}</h2>
      {has && (
        <TextInput
          type="password"
          label={t('password.current')}
          autoComplete="current-password"
          required
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
        />
      )}
      <TextInput
        type="password"
        label={t('sign-in.choose')}
        autoComplete="new-password"
        required
        minLength={12}
        maxLength={200}
        error={refused || undefined}
        value={password}
        onChange={(event) => setNew(event.currentTarget.value)}
      />
      <Button type="submit" variant="default">
        {t('save')}
      </Button>
    </form>
  );
}
