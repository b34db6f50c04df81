import { Button, SegmentedControl, useMantineColorScheme } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api, bodyOf } from '../api/client.ts';
import { type Language, setLanguage, useWords } from '../language.ts';
import { Age, Scroll } from '../parts/words.tsx';
import { signOut, useMe } from '../session.ts';
import { Password } from './me/Password.tsx';
import { Totp } from './me/Totp.tsx';

/** Who I am, how I sign in, where I am signed in, and how the page looks. */
export function Me() {
  const { t } = useWords();
  const me = useMe();
  return (
    <>
      <h1>{t('nav.me')}</h1>
      <div className="columns">
        <div className="stack">
          <section className="panel">
            <dl className="facts">
              <dt>{t('name')}</dt>
              <dd>{me.name}</dd>
              {me.person !== null && (
                <>
                  <dt>{t('email')}</dt>
                  <dd>{me.person.email}</dd>
                </>
              )}
              <dt>{t('roles')}</dt>
              <dd>
                <Roles />
              </dd>
            </dl>
          </section>
          {me.person !== null && <Sessions />}
        </div>
        <div className="stack">
          <Looks />
          {me.person !== null && <Password has={me.person.hasPassword} />}
          {me.person !== null && <Totp has={me.person.hasTotp} />}
        </div>
      </div>
    </>
  );
}

function Roles() {
  const { t } = useWords();
  const me = useMe();
  const roles = me.person?.roles ?? [{ role: me.role, department: me.department }];
  const all = roles.map(({ role, department }) => `${role} · ${department ?? t('whole-city')}`);
  return <>{all.join('; ')}</>;
}

function Looks() {
  const { t, language } = useWords();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <section className="panel stack" aria-label={t('looks')}>
      <h2>{t('looks')}</h2>
      <SegmentedControl
        aria-label={t('scheme')}
        value={colorScheme}
        onChange={(value) => setColorScheme(value as 'auto' | 'light' | 'dark')}
        data={(['auto', 'light', 'dark'] as const).map((value) => ({ value, label: t(`scheme.${value}`) }))}
      />
      <SegmentedControl
        aria-label={t('language')}
        value={language}
        onChange={(value) => setLanguage(value as Language)}
        data={[
          { value: 'en', label: 'English' },
          { value: 'zh', label: '中文' },
        ]}
      />
    </section>
  );
}

function Sessions() {
  const { t } = useWords();
  const me = useMe();
  const client = useQueryClient();
  const { data } = useQuery({ queryKey: ['sessions'], queryFn: () => bodyOf(api.GET('/auth/sessions')) });
  const end = useMutation({
    mutationFn: (id: string) => bodyOf(api.DELETE('/auth/sessions/{id}', { params: { path: { id } } })),
    onSettled: () => client.invalidateQueries({ queryKey: ['sessions'] }),
  });
  return (
    <section className="panel" aria-labelledby="sessions">
      <header>
        <h2 id="sessions">{t('sessions')}</h2>
        <Button className="push" variant="default" onClick={() => void signOut(true)}>
          {t('sessions.all')}
        </Button>
      </header>
      <Scroll label={t('sessions')}>
        <table className="list">
          <thead>
            <tr>
              <th>{t('sessions.browser')}</th>
              <th>{t('sessions.address')}</th>
              <th>{t('sessions.seen')}</th>
              <th>
                <span className="visually-hidden">{t('actions')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {data?.items.map(({ id, agent, address, seenAt }) => (
              <tr key={id}>
                <td>{agent || '–'}</td>
                <td>{address}</td>
                <td>
                  <Age at={seenAt} />
                </td>
                <td className="num">
                  {id === me.session ? (
                    <span className="dim">{t('sessions.this')}</span>
                  ) : (
                    <Button variant="default" size="compact-xs" onClick={() => end.mutate(id)}>
                      {t('sessions.end')}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}
