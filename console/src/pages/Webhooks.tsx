import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import type { Webhook } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { type Column, Listing } from '../parts/Listing.tsx';
import { Once } from '../parts/Once.tsx';
import { Failure } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { Filtered } from './receivers/FilterFields.tsx';
import { WebhookForm } from './receivers/WebhookForm.tsx';

/** Other systems that are sent events, and whether these arrive. */
export function Webhooks() {
  const { t } = useWords();
  const may = useMay('webhooks.write');
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ['webhooks'],
    refetchInterval: 10_000,
    queryFn: () => bodyOf(api.GET('/api/v1/webhooks', { params: { query: { limit: 1000 } } })),
  });
  const columns = useColumns();
  return (
    <>
      <div className="bar">
        <h1>{t('nav.webhooks')}</h1>
        <span className="push" />
        {may && <Button onClick={() => setMaking(true)}>{t('webhook.new')}</Button>}
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data !== undefined && (
        <Listing
          label={t('nav.webhooks')}
          columns={columns}
          items={data.items}
          keyOf={({ id }) => id}
          none={t('webhooks.none')}
        />
      )}
      {making && <WebhookForm of={null} close={() => setMaking(false)} made={setSecret} />}
      {secret !== null && (
        <Once
          title={t('webhook.secret')}
          value={secret}
          about={t('webhook.secret-about')}
          close={() => setSecret(null)}
        />
      )}
    </>
  );
}

function useColumns(): readonly Column<Webhook>[] {
  const { t, number } = useWords();
  return [
    {
      head: t('webhook.url'),
      cell: ({ id, url, description }) => (
        <>
          <Link to="/webhooks/$id" params={{ id }}>
            {url}
          </Link>
          {description !== '' && <div className="dim">{description}</div>}
        </>
      ),
    },
    { head: t('webhook.format'), cell: ({ format }) => format },
    { head: t('filter'), cell: ({ filter }) => <Filtered filter={filter} /> },
    { head: t('column.state'), cell: (webhook) => <Working of={webhook} /> },
    { head: t('receiver.waiting'), num: true, cell: ({ waiting }) => number(waiting) },
  ];
}

interface Status {
  readonly enabled: boolean;
  readonly disabled: { readonly reason: string; readonly detail: string } | null;
  readonly failingSince: string | null;
}

/** Whether a receiver takes what it is sent. */
export function Working({ of: { disabled, failingSince } }: { readonly of: Status }) {
  const { t, term, time } = useWords();
  if (disabled !== null) return <span className="late">{term('disabled', disabled.reason)}</span>;
  if (failingSince !== null) return <span className="late">{t('receiver.failing', { at: time(failingSince) })}</span>;
  return <span className="good">{t('receiver.works')}</span>;
}
