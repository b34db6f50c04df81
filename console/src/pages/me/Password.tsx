import { Button } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useWords } from '../../language.ts';
import { CurrentPassword, NewPassword } from '../../parts/secrets.tsx';
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
      {has && <CurrentPassword label={t('password.current')} value={current} onChange={setCurrent} />}
      <NewPassword refused={refused} value={password} onChange={setNew} />
      <Button type="submit" variant="default">
        {t('save')}
      </Button>
    </form>
  );
}
