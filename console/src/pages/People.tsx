import { Button, SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useNames } from '../api/queries.ts';
import type { Person } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Small, Sure, useAct } from '../parts/acting.tsx';
import { type Column, Listing } from '../parts/Listing.tsx';
import { Once } from '../parts/Once.tsx';
import { Failure } from '../parts/words.tsx';
import { useMay, useMe } from '../session.ts';
import { type Link, linkFor, PersonForm } from './people/PersonForm.tsx';
import { SessionsOf } from './people/SessionsOf.tsx';

type Open = { readonly what: 'new' } | { readonly what: 'change' | 'sessions'; readonly person: Person };

/** The people who may sign in, what each may do, and where they are signed in. */
export function People() {
  const { t } = useWords();
  const may = useMay('users.write');
  const [removed, setRemoved] = useState('false');
  const [open, setOpen] = useState<Open | null>(null);
  const [link, setLink] = useState<Link | null>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ['people', removed],
    queryFn: () => bodyOf(api.GET('/api/v1/users', { params: { query: { removed, limit: 1000 } } })),
  });
  const columns = useColumns(setOpen, setLink);
  return (
    <>
      <div className="bar">
        <h1>{t('nav.people')}</h1>
        <SegmentedControl
          aria-label={t('column.state')}
          value={removed}
          onChange={setRemoved}
          data={[
            { value: 'false', label: t('people.present') },
            { value: 'true', label: t('people.removed-too') },
          ]}
        />
        <span className="push" />
        {may && <Button onClick={() => setOpen({ what: 'new' })}>{t('person.new')}</Button>}
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data !== undefined && (
        <Listing
          label={t('nav.people')}
          columns={columns}
          items={data.items}
          keyOf={({ id }) => id}
          none={t('people.none')}
        />
      )}
      {open?.what === 'new' && <PersonForm person={null} close={() => setOpen(null)} made={setLink} />}
      {open?.what === 'change' && <PersonForm person={open.person} close={() => setOpen(null)} made={setLink} />}
      {open?.what === 'sessions' && <SessionsOf person={open.person} close={() => setOpen(null)} />}
      {link !== null && (
        <Once title={link.name} value={link.address} about={t('person.link-about')} close={() => setLink(null)} />
      )}
    </>
  );
}

function useColumns(open: (open: Open) => void, show: (link: Link) => void): readonly Column<Person>[] {
  const { t, term, time } = useWords();
  const name = useNames();
  const may = useMay('users.write');
  const roleOf = ({ role, department }: Person['roles'][number]) =>
    `${term('role', role)} · ${department === null ? t('whole-city') : name('departments', department)}`;
  return [
    {
      head: t('name'),
      cell: (person) => (
        <>
          {person.name} <span className="dim">{person.email}</span>
        </>
      ),
    },
    { head: t('roles'), cell: ({ roles }) => roles.map((one) => <div key={roleOf(one)}>{roleOf(one)}</div>) },
    {
      head: t('person.signs-in'),
      cell: (person) =>
        howOf(person)
          .map((key) => t(key))
          .join(', '),
    },
    {
      head: t('column.state'),
      cell: ({ removedAt, suspendedAt }) => {
        if (removedAt !== null) return time(removedAt);
        return suspendedAt === null ? t('person.present') : <span className="late">{t('person.suspended')}</span>;
      },
    },
    { head: '', cell: (person) => may && person.removedAt === null && <Acts of={person} open={open} show={show} /> },
  ];
}

function howOf({ hasPassword, hasTotp, issuer }: Person) {
  const how = [
    ...(issuer === null ? [] : (['person.by-provider'] as const)),
    ...(hasPassword ? (['password'] as const) : []),
    ...(hasTotp ? (['totp'] as const) : []),
  ];
  return how.length === 0 ? (['person.by-link'] as const) : how;
}

interface ActsProps {
  readonly of: Person;
  readonly open: (open: Open) => void;
  readonly show: (link: Link) => void;
}

function Acts({ of: person, open, show }: ActsProps) {
  const { t } = useWords();
  const me = useMe();
  const act = useAct('people');
  const params = { path: { id: person.id } };
  return (
    <span className="bar ends">
      <Small label={t('person.change')} onClick={() => open({ what: 'change', person })} />
      {person.suspendedAt === null && (
        <Small label={t('person.link')} onClick={() => act.mutate(async () => show(await linkFor(person)))} />
      )}
      <Small label={t('person.sessions')} onClick={() => open({ what: 'sessions', person })} />
      {person.hasTotp && (
        <Sure
          label={t('person.end-totp')}
          question={t('person.end-totp-sure', { name: person.name })}
          run={() => act.mutate(() => bodyOf(api.DELETE('/api/v1/users/{id}/totp', { params })))}
        />
      )}
      {person.id !== me.person?.id && person.suspendedAt === null && (
        <Sure
          label={t('person.suspend')}
          question={t('person.suspend-sure', { name: person.name })}
          run={() => act.mutate(() => bodyOf(api.POST('/api/v1/users/{id}/suspend', { params })))}
        />
      )}
      {person.suspendedAt !== null && (
        <Small
          label={t('person.resume')}
          onClick={() => act.mutate(() => bodyOf(api.POST('/api/v1/users/{id}/resume', { params })))}
        />
      )}
      {person.id !== me.person?.id && (
        <Sure
          label={t('person.remove')}
          question={t('person.remove-sure', { name: person.name })}
          run={() => act.mutate(() => bodyOf(api.DELETE('/api/v1/users/{id}', { params })))}
        />
      )}
    </span>
  );
}
