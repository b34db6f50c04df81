import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useNames } from '../api/queries.ts';
import type { Subscription } from '../api/schema.ts';
import { useWords, type Words } from '../language.ts';
import { type Column, Listing } from '../parts/Listing.tsx';
import { Failure } from '../parts/words.tsx';
import { useMay, useMe } from '../session.ts';
import { Filtered } from './receivers/FilterFields.tsx';
import { MailForm } from './receivers/MailForm.tsx';
import { Working } from './Webhooks.tsx';

/** Who is notified of what, how and when: oneself first, then departments and others. */
export function Notifications() {
  const { t } = useWords();
  const me = useMe();
  const may = useMay('subscriptions.write');
  const [making, setMaking] = useState(false);
  const { data, error, refetch } = useQuery({
    queryKey: ['subscriptions'],
    refetchInterval: 10_000,
    queryFn: () => bodyOf(api.GET('/api/v1/subscriptions', { params: { query: { limit: 1000 } } })),
  });
  const columns = useColumns();
  const isMine = ({ party }: Subscription) => me.person !== null && party === `person:${me.person.id}`;
  const [mine, others] = [data?.items.filter(isMine) ?? [], data?.items.filter((one) => !isMine(one)) ?? []];
  return (
    <>
      <div className="bar">
        <h1>{t('nav.notifications')}</h1>
        <span className="push" />
        {may && <Button onClick={() => setMaking(true)}>{t('mail.new')}</Button>}
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data !== undefined && (
        <>
          <h2>{t('mail.mine')}</h2>
          <Listing label={t('mail.mine')} columns={columns} items={mine} keyOf={({ id }) => id} none={t('mail.none')} />
          <h2>{t('mail.others')}</h2>
          <Listing
            label={t('mail.others')}
            columns={columns}
            items={others}
            keyOf={({ id }) => id}
            none={t('mail.others-none')}
          />
        </>
      )}
      {making && <MailForm subscription={null} close={() => setMaking(false)} />}
    </>
  );
}

export type Mail = Extract<Subscription, { channel: 'email' }>;

function useColumns(): readonly Column<Subscription>[] {
  const words = useWords();
  const { t, term } = words;
  const name = useNames();
  return [
    {
      head: t('mail.to'),
      cell: (one) =>
        one.channel === 'email' ? (
          <Link to="/notifications/$id" params={{ id: one.id }}>
            {one.to}
          </Link>
        ) : (
          <Link to="/webhooks/$id" params={{ id: one.webhook }}>
            {t('mail.over-webhook')}
          </Link>
        ),
    },
    {
      head: t('receiver.party'),
      cell: ({ party }) => (party.startsWith('person:') ? t('party.person') : name('departments', party)),
    },
    { head: t('filter'), cell: ({ filter }) => <Filtered filter={filter} /> },
    { head: t('language'), cell: (one) => (one.channel === 'email' ? term('mail-language', one.language) : '–') },
    { head: t('mail.when'), cell: (one) => (one.channel === 'email' ? whenOf(one, words) : t('mail.at-once')) },
    { head: t('column.state'), cell: (one) => (one.channel === 'email' ? <Working of={one} /> : '–') },
  ];
}

/** When mail is sent, in words. */
export function whenOf({ digest, quietHours }: Mail, { t }: Words): string {
  const gathered =
    digest === null
      ? t('mail.at-once')
      : 'daily' in digest
        ? t('mail.daily', { at: digest.daily })
        : t('mail.every', { d: digest.every });
  if (quietHours === null) return gathered;
  if ('from' in quietHours) return `${gathered}; ${t('mail.quiet', quietHours)}`;
  const [how, calendar] = Object.entries(quietHours)[0] as [string, string];
  return `${gathered}; ${t(how === 'during' ? 'mail.quiet-during' : 'mail.quiet-outside', { calendar })}`;
}
