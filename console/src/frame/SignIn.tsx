import { Button, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, bodyOf, ProblemError } from '../api/client.ts';
import { useWords } from '../language.ts';
import { Code, CurrentPassword, NewPassword } from '../parts/secrets.tsx';
import { enterWithKey, later, refusalOf, setPassword, signIn, useSession } from '../session.ts';
import { LanguageButton } from './LanguageButton.tsx';

/** The way in: a password and a code, the city's provider, or a key; and the password of who came by a link. */
export function SignIn() {
  const { t } = useWords();
  const { choosing, refused, me } = useSession();
  const [failed, setFailed] = useState('');
  const methods = useQuery({ queryKey: ['methods'], queryFn: () => bodyOf(api.GET('/auth/methods')) });
  return (
    <main className="enter">
      <div className="bar">
        <h1>Lamppost</h1>
        {me !== null && <span id="who">{me.name}</span>}
        <span className="push" />
        <LanguageButton />
      </div>
      {choosing ? <Choose failed={setFailed} /> : <Login failed={setFailed} />}
      {methods.data?.oidc === true && !choosing && (
        <p id="provider">
          <a href="/auth/oidc/start">{t('sign-in.provider')}</a>
        </p>
      )}
      {!choosing && <WithKey />}
      <p id="refused" role="alert" className="late">
        {failed || refused}
      </p>
    </main>
  );
}

interface Failing {
  /** Says why it failed; empty: it did not. */
  readonly failed: (why: string) => void;
}

function Login({ failed }: Failing) {
  const { t } = useWords();
  const [email, setEmail] = useState('');
  const [password, setSecret] = useState('');
  const [code, setCode] = useState('');
  const [codeAsked, setCodeAsked] = useState(false);
  const [busy, setBusy] = useState(false);
  async function submit(event: FormEvent) {
    event.preventDefault();
    failed('');
    setBusy(true);
    try {
      await signIn(email, password, code);
    } catch (error) {
      const reason = error instanceof ProblemError ? error.reason : '';
      setCodeAsked(reason === 'code-needed' || reason === 'wrong-code');
      setCode('');
      failed(refusalOf(error));
    } finally {
      setBusy(false);
    }
  }
  return (
    <form id="login" className="panel" onSubmit={submit}>
      <TextInput
        id="email"
        type="email"
        label={t('email')}
        autoComplete="username"
        required
        maxLength={320}
        data-autofocus
        value={email}
        onChange={(event) => setEmail(event.currentTarget.value)}
      />
      <CurrentPassword id="password" label={t('password')} value={password} onChange={setSecret} />
      {codeAsked && <Code id="code" focused value={code} onChange={setCode} />}
      <Button type="submit" loading={busy}>
        {t('sign-in')}
      </Button>
    </form>
  );
}

function Choose({ failed }: Failing) {
  const { t } = useWords();
  const [password, setSecret] = useState('');
  async function submit(event: FormEvent) {
    event.preventDefault();
    failed('');
    await setPassword(password).catch((error: unknown) => failed(refusalOf(error)));
  }
  return (
    <form id="choose" className="panel" onSubmit={submit}>
      <NewPassword id="chosen" value={password} onChange={setSecret} />
      <div className="bar">
        <Button type="submit">{t('save')}</Button>
        <Button variant="default" onClick={later}>
          {t('later')}
        </Button>
      </div>
    </form>
  );
}

function WithKey() {
  const { t } = useWords();
  const [key, setKey] = useState('');
  async function submit(event: FormEvent) {
    event.preventDefault();
    await enterWithKey(key.trim());
  }
  return (
    <details id="enter">
      <summary>{t('sign-in.with-key')}</summary>
      <form id="keyed" className="panel" onSubmit={submit}>
        <TextInput
          id="key"
          type="password"
          label={t('key')}
          autoComplete="off"
          required
          minLength={16}
          value={key}
          onChange={(event) => setKey(event.currentTarget.value)}
        />
        <Button type="submit" variant="default">
          {t('sign-in.enter')}
        </Button>
      </form>
    </details>
  );
}
