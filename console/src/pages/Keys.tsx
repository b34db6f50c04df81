import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useNames } from '../api/queries.ts';
import type { Key } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Small, Sure, useAct } from '../parts/acting.tsx';
import { type Column, Listing } from '../parts/Listing.tsx';
import { Once } from '../parts/Once.tsx';
import { Age, Failure } from '../parts/words.tsx';
import { useMay, useMe } from '../session.ts';
import { KeyForm } from './keys/KeyForm.tsx';

/** A secret that was made, and the key that it is of. */
export interface Made {
  readonly name: string;
  readonly secret: string;
}

/** Keys of programs and people: what each may do, and when it was used last. */
export function Keys() {
  const { t } = useWords();
  const may = useMay('keys.write');
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Made | null>(null);
  const { data, error, refetch } = useQuery({ queryKey: ['keys'], queryFn: () => bodyOf(api.GET('/api/v1/keys')) });
  const columns = useColumns(setMade);
  return (
    <>
      <div className="bar">
        <h1>{t('nav.keys')}</h1>
        <span className="push" />
        {may && <Button onClick={() => setMaking(true)}>{t('key.new')}</Button>}
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data !== undefined && (
        <Listing
          label={t('nav.keys')}
          columns={columns}
          items={data.items}
          keyOf={({ id }) => id}
          none={t('keys.none')}
        />
      )}
      {making && <KeyForm of={null} close={() => setMaking(false)} made={setMade} />}
      {made !== null && (
        <Once title={made.name} value={made.secret} about={t('secret.once')} close={() => setMade(null)} />
      )}
    </>
  );
}

function useColumns(show: (made: Made) => void): readonly Column<Key>[] {
  const { t, term, time } = useWords();
  const name = useNames();
  const may = useMay('keys.write');
  const columns: readonly Column<Key>[] = [
    {
      head: t('key.name'),
      cell: (key) => (
        <>
          {key.name} <span className="dim">{key.id}</span>
          {key.note !== '' && <div className="dim">{key.note}</div>}
        </>
      ),
    },
    {
      head: t('role'),
      cell: ({ role, department, scopes }) => (
        <>
          {`${term('role', role)} · ${department === null ? t('whole-city') : name('departments', department)}`}
          {scopes !== undefined && <div className="dim">{t('key.only', { scopes: scopes.join(', ') })}</div>}
        </>
      ),
    },
    { head: t('sessions.seen'), cell: ({ lastUsedAt }) => (lastUsedAt === null ? '–' : <Age at={lastUsedAt} />) },
    {
      head: t('key.expires'),
      cell: ({ expiresAt, oldSecretUntil }) => (
        <>
          {expiresAt === null ? t('key.never') : time(expiresAt)}
          {oldSecretUntil !== null && <div className="dim">{t('key.old', { at: time(oldSecretUntil) })}</div>}
        </>
      ),
    },
  ];
  return may ? [...columns, { head: '', cell: (key) => <Acts of={key} show={show} /> }] : columns;
}

function Acts({ of, show }: { readonly of: Key; readonly show: (made: Made) => void }) {
  const { id, name, oldSecretUntil } = of;
  const { t } = useWords();
  const me = useMe();
  const act = useAct('keys');
  const [changing, setChanging] = useState(false);
  const params = { path: { id } };
  const rotate = async () => {
    const { secret } = await bodyOf(api.POST('/api/v1/keys/{id}/rotate', { params, body: { overlap: true } }));
    show({ name, secret });
  };
  return (
    <span className="bar ends">
      <Small label={t('device.change')} onClick={() => setChanging(true)} />
      {changing && <KeyForm of={of} close={() => setChanging(false)} made={show} />}
      <Sure label={t('device.rotate')} question={t('key.rotate-sure')} run={() => act.mutate(rotate)} />
      {oldSecretUntil !== null && (
        <Small
          label={t('key.confirm')}
          onClick={() => act.mutate(() => bodyOf(api.POST('/api/v1/keys/{id}/confirm', { params })))}
        />
      )}
      {id !== me.id && (
        <Sure
          label={t('key.revoke')}
          question={t('key.revoke-sure', { name })}
          run={() => act.mutate(() => bodyOf(api.DELETE('/api/v1/keys/{id}', { params })))}
        />
      )}
    </span>
  );
}
