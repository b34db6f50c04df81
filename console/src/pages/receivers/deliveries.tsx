import { Button, Modal, SegmentedControl } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { Delivery, DeliveryInFull } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small, useAct } from '../../parts/acting.tsx';
import { type Column, Listing } from '../../parts/Listing.tsx';
import { More } from '../../parts/More.tsx';
import { Age, Failure } from '../../parts/words.tsx';

/** Webhooks and subscriptions have the same routes. */
export type Kind = 'webhooks' | 'subscriptions';

const STATES = ['failed', 'pending', 'delivered'] as const;

interface Props {
  readonly kind: Kind;
  readonly id: string;
  readonly may: boolean;
}

/** What was sent to a receiver, the newest first; what failed can be sent again. */
export function Deliveries({ kind, id, may }: Props) {
  const { t } = useWords();
  const [state, setState] = useState('all');
  const [shown, setShown] = useState<string | null>(null);
  const chosen = STATES.find((one) => one === state);
  const list = useInfiniteQuery({
    queryKey: ['deliveries', kind, id, state],
    initialPageParam: null as string | null,
    refetchInterval: 5_000,
    queryFn: ({ pageParam }) => {
      const query = { limit: 50, after: pageParam, ...(chosen === undefined ? {} : { state: chosen }) };
      return bodyOf(api.GET(`/api/v1/${kind}/{id}/deliveries`, { params: { path: { id }, query } }));
    },
    getNextPageParam: ({ next }) => next,
  });
  const columns = useColumns({ kind, id, may }, setShown);
  return (
    <section className="stack" aria-labelledby="deliveries">
      <div className="bar">
        <h2 id="deliveries">{t('deliveries')}</h2>
        <SegmentedControl
          aria-label={t('column.state')}
          value={state}
          onChange={setState}
          data={['all', ...STATES].map((value) => ({
            value,
            label: value === 'all' ? t('tickets.all') : t(`delivery.${value as (typeof STATES)[number]}`),
          }))}
        />
      </div>
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.isSuccess && (
        <Listing
          label={t('deliveries')}
          columns={columns}
          items={list.data.pages.flatMap(({ items }) => items)}
          keyOf={(one) => one.id}
          none={t('deliveries.none')}
        />
      )}
      {list.hasNextPage && <More list={list} />}
      {shown !== null && <Detail kind={kind} id={id} delivery={shown} close={() => setShown(null)} />}
    </section>
  );
}

function useColumns({ kind, id, may }: Props, show: (delivery: string) => void): readonly Column<Delivery>[] {
  const { t, term } = useWords();
  const act = useAct('deliveries');
  const again = (delivery: string) => () =>
    bodyOf(api.POST(`/api/v1/${kind}/{id}/deliveries/{delivery}/redeliver`, { params: { path: { id, delivery } } }));
  return [
    {
      head: t('column.state'),
      cell: ({ state, outcome }) => (
        <span className={state === 'failed' ? 'late' : ''}>
          {term('delivery', state)} {outcome !== null && outcome !== state && term('outcome', outcome)}
        </span>
      ),
    },
    {
      head: t('delivery.events'),
      cell: ({ events }) =>
        events.slice(0, 3).map(({ id: event, type, subject }) => <div key={event}>{`${type} · ${subject}`}</div>),
    },
    { head: t('delivery.origin'), cell: ({ origin }) => term('origin', origin) },
    { head: t('delivery.attempts'), num: true, cell: ({ attempts }) => attempts },
    { head: t('column.age'), cell: ({ createdAt }) => <Age at={createdAt} /> },
    {
      head: '',
      cell: (delivery) => (
        <span className="bar ends">
          <Small label={t('look')} onClick={() => show(delivery.id)} />
          {may && delivery.state !== 'queued' && delivery.state !== 'pending' && (
            <Small label={t('delivery.again')} onClick={() => act.mutate(again(delivery.id))} />
          )}
        </span>
      ),
    },
  ];
}

interface DetailProps {
  readonly kind: Kind;
  readonly id: string;
  readonly delivery: string;
  readonly close: () => void;
}

function Detail({ kind, id, delivery, close }: DetailProps) {
  const { t } = useWords();
  const { data, error } = useQuery({
    queryKey: ['deliveries', kind, id, 'one', delivery],
    queryFn: () =>
      bodyOf(api.GET(`/api/v1/${kind}/{id}/deliveries/{delivery}`, { params: { path: { id, delivery } } })),
  });
  return (
    <Modal opened onClose={close} size="xl" title={t('delivery.one')} closeButtonProps={{ 'aria-label': t('close') }}>
      {error !== null && <Failure error={error} />}
      {data !== undefined && <Attempts delivery={data} />}
      <Button mt="sm" variant="default" onClick={close}>
        {t('close')}
      </Button>
    </Modal>
  );
}

/** What was sent, and what each attempt came to. */
export function Attempts({ delivery: { request, tries } }: { readonly delivery: DeliveryInFull }) {
  const { t, term, clock, number } = useWords();
  return (
    <div className="stack">
      <ol className="timeline">
        {tries.map(({ at, ms, outcome, status, response }) => (
          <li key={at}>
            <span className={outcome === 'delivered' ? 'good' : 'late'}>{term('outcome', outcome)}</span>{' '}
            <span className="dim">{`${clock(at)} · ${number(ms)} ms${status === null ? '' : ` · HTTP ${status}`}`}</span>
            {response !== '' && <p className="mono">{response}</p>}
          </li>
        ))}
      </ol>
      <h2>{t('delivery.sent')}</h2>
      <pre className="code">{[...headerLines(request), bodyText(request)].join('\n')}</pre>
    </div>
  );
}

function headerLines({ headers = {} }: DeliveryInFull['request']): string[] {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return lines.length === 0 ? [] : [...lines, ''];
}

function bodyText({ contentType, body }: DeliveryInFull['request']): string {
  if (!contentType.includes('json')) return body;
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
