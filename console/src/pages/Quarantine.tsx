import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import type { Quarantined } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Choice } from '../parts/Choice.tsx';
import { More } from '../parts/More.tsx';
import { Age, Failure, Scroll } from '../parts/words.tsx';
import { en } from '../texts/en.ts';
import { Detail } from './quarantine/Detail.tsx';
import { Groups } from './quarantine/Groups.tsx';
import { Replay } from './quarantine/Replay.tsx';

type Reason = Quarantined['reason'];

/** What of the quarantine is shown, as the address has it. */
export interface QuarantineFilter {
  readonly device?: string | undefined;
  readonly reason?: Reason | undefined;
}

const REASONS = Object.keys(en)
  .filter((key) => key.startsWith('fault.'))
  .map((key) => key.slice('fault.'.length)) as Reason[];

export function quarantineFilterIn(search: Readonly<Record<string, unknown>>): QuarantineFilter {
  const device = typeof search.device === 'string' && search.device !== '' ? search.device : undefined;
  return { device, reason: REASONS.find((reason) => reason === search.reason) };
}

/** What was refused, why, and what is to be done about it. */
export function Quarantine() {
  const { t, term } = useWords();
  const filter = quarantineFilterIn(useSearch({ strict: false }));
  const navigate = useNavigate({ from: '/quarantine' });
  const [chosen, setChosen] = useState<string | null>(null);
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as {
    device?: string;
    reason?: Reason;
  };
  const list = useInfiniteQuery({
    queryKey: ['quarantine', given],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam }) =>
      bodyOf(api.GET('/api/v1/quarantine', { params: { query: { ...given, limit: 50, after: pageParam } } })),
    getNextPageParam: ({ next }) => next,
  });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <div className="bar">
        <h1>{t('nav.quarantine')}</h1>
        <span className="push" />
        <Replay key={JSON.stringify(given)} label={t('quarantine.replay')} body={given} />
      </div>
      <search className="bar" aria-label={t('filter')}>
        <Choice
          label={t('column.reason')}
          data={REASONS.map((value) => ({ value, label: term('fault', value) }))}
          value={filter.reason}
          onChange={(reason) => void navigate({ search: { ...filter, reason: reason as Reason }, replace: true })}
        />
        {filter.device !== undefined && (
          <Button
            variant="default"
            onClick={() => void navigate({ search: { ...filter, device: undefined }, replace: true })}
          >
            {`${filter.device} ×`}
          </Button>
        )}
      </search>
      {filter.device === undefined && (
        <Groups reason={filter.reason} choose={(device, reason) => void navigate({ search: { device, reason } })} />
      )}
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.isSuccess && items.length === 0 && <p className="panel empty">{t('quarantine.none')}</p>}
      {items.length > 0 && (
        <div className="panel">
          <Scroll label={t('nav.quarantine')}>
            <Entries items={items} choose={setChosen} />
          </Scroll>
        </div>
      )}
      {list.hasNextPage && <More list={list} />}
      {chosen !== null && <Detail id={chosen} close={() => setChosen(null)} />}
    </>
  );
}

interface EntriesProps {
  readonly items: readonly Quarantined[];
  readonly choose: (id: string) => void;
}

function Entries({ items, choose }: EntriesProps) {
  const { t, term } = useWords();
  return (
    <table className="list" aria-label={t('nav.quarantine')}>
      <thead>
        <tr>
          <th>{t('column.reason')}</th>
          <th>{t('column.detail')}</th>
          <th>{t('column.device')}</th>
          <th className="num">{t('column.received')}</th>
          <th>
            <span className="visually-hidden">{t('actions')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {items.map(({ id, reason, detail, device, receivedAt, count }) => (
          <tr key={id}>
            <td className="nowrap">{term('fault', reason)}</td>
            <td>{count > 1 ? `${detail} (× ${count})` : detail}</td>
            <td>
              <Link to="/devices/$id" params={{ id: device }}>
                {device}
              </Link>
            </td>
            <td className="num">
              <Age at={receivedAt} />
            </td>
            <td className="num">
              <Button variant="default" size="compact-xs" onClick={() => choose(id)}>
                {t('look')}
              </Button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
