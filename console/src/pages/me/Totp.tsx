import { Button } from '@mantine/core';
import { type FormEvent, lazy, Suspense, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { Code, CurrentPassword } from '../../parts/secrets.tsx';
import { toast } from '../../parts/toasts.tsx';
import { refreshMe, refusalOf } from '../../session.ts';

const Qr = lazy(() => import('../../parts/Qr.tsx'));

/** The authenticator: put in force with a code that it shows, or ended with the password. */
export function Totp({ has }: { readonly has: boolean }) {
  const { t } = useWords();
  return (
    <section className="panel stack" aria-label={t('totp')}>
      <h2>{t('totp')}</h2>
      <p className={has ? 'good' : 'dim'}>{t(has ? 'totp.on' : 'totp.off')}</p>
      {has ? <End /> : <Begin />}
    </section>
  );
}

function Begin() {
  const { t } = useWords();
  const [made, setMade] = useState<{ secret: string; uri: string } | null>(null);
  const [code, setCode] = useState('');
  const [refused, setRefused] = useState('');
  if (made === null) {
    return (
      <Button variant="default" onClick={async () => setMade(await bodyOf(api.POST('/auth/totp')))}>
        {t('totp.begin')}
      </Button>
    );
  }
  async function submit(event: FormEvent) {
    event.preventDefault();
    try {
      await bodyOf(api.PUT('/auth/totp', { body: { secret: made!.secret, code } }));
      toast(t('totp.done'));
      await refreshMe();
    } catch (error) {
      setRefused(refusalOf(error));
    }
  }
  return (
    <form className="stack" onSubmit={submit}>
      <p>{t('totp.how')}</p>
      <Suspense fallback={null}>
        <Qr text={made.uri} label={t('totp')} />
      </Suspense>
      <pre className="code" id="totp-secret">
        {made.secret}
      </pre>
      <a href={made.uri}>{t('totp.open')}</a>
      <Code refused={refused} value={code} onChange={setCode} />
      <Button type="submit">{t('totp.confirm')}</Button>
    </form>
  );
}

function End() {
  const { t } = useWords();
  const [password, setPassword] = useState('');
  const [refused, setRefused] = useState('');
  async function submit(event: FormEvent) {
    event.preventDefault();
    try {
      await bodyOf(api.DELETE('/auth/totp', { body: { password } }));
      await refreshMe();
    } catch (error) {
      setRefused(refusalOf(error));
    }
  }
  return (
    <form className="stack" onSubmit={submit}>
      <CurrentPassword label={t('password.current')} refused={refused} value={password} onChange={setPassword} />
      <Button type="submit" variant="default">
        {t('totp.end')}
      </Button>
    </form>
  );
}
