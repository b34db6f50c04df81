import { Button, TextInput } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import type { AuditEntry } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { useAct } from '../parts/acting.tsx';
import { download } from '../parts/download.ts';
import { type Column, Listing } from '../parts/Listing.tsx';
import { More } from '../parts/More.tsx';
import { Failure } from '../parts/words.tsx';
import { type AuditFilter, auditFilterIn, FIELDS } from './audit/filter.ts';
import { type Verified, verifyTrail } from './audit/trail.ts';

const PAGE = 100;
const instantOf = (local: string) => new Date(local).toISOString();

/** Who did what, on what, with which result, from where, and when. */
export function Audit() {
  const { t } = useWords();
  const filter = auditFilterIn(useSearch({ strict: false }));
  const act = useAct();
  const columns = useColumns();
  const { from, to, ...names } = filter;
  const times = {
    ...(from === undefined ? {} : { from: instantOf(from) }),
    ...(to === undefined ? {} : { to: instantOf(to) }),
  };
  const query = { ...Object.fromEntries(Object.entries(names).filter(([, value]) => value !== undefined)), ...times };
  const list = useInfiniteQuery({
    queryKey: ['audit', query],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam }) =>
      bodyOf(api.GET('/api/v1/audit', { params: { query: { ...query, limit: PAGE, after: pageParam } } })),
    getNextPageParam: ({ next }) => next,
  });
  const csv = `/api/v1/audit?${new URLSearchParams({ ...query, limit: '1000', format: 'csv' })}`;
  return (
    <>
      <div className="bar">
        <h1>{t('nav.audit')}</h1>
        <span className="push" />
        <Button variant="default" onClick={() => act.mutate(() => download(csv, 'audit.csv'))} loading={act.isPending}>
          {t('csv')}
        </Button>
      </div>
      <Filters filter={filter} />
      <Verify />
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.isSuccess && (
        <Listing
          label={t('nav.audit')}
          columns={columns}
          items={list.data.pages.flatMap(({ items }) => items)}
          keyOf={({ n }) => String(n)}
          none={t('audit.none')}
        />
      )}
      {list.hasNextPage && <More list={list} />}
    </>
  );
}

function useColumns(): readonly Column<AuditEntry>[] {
  const { t, time } = useWords();
  return [
    { head: t('audit.when'), cell: ({ at }) => <span className="nowrap">{time(at)}</span> },
    {
      head: t('audit.who'),
      cell: ({ actor, role, department, address }) => (
        <>
          {actor} <span className="dim">{[role, department, address].filter((one) => one !== null).join(' · ')}</span>
        </>
      ),
    },
    { head: t('audit.what'), cell: ({ action }) => <span className="mono">{action}</span> },
    { head: t('audit.target'), cell: ({ target }) => <span className="mono">{target}</span> },
    {
      head: t('audit.result'),
      cell: ({ result, detail }) => (
        <>
          <span className={/^(done|requested|repeated)$/.test(result) ? '' : 'late'}>{result}</span>
          {detail !== '' && <div className="dim">{detail}</div>}
        </>
      ),
    },
  ];
}

/** The filter, which is in the address: of times, in the browser's own zone. */
function Filters({ filter }: { readonly filter: AuditFilter }) {
  const { t } = useWords();
  const navigate = useNavigate({ from: '/audit' });
  const change = (field: string, value: string) =>
    void navigate({ search: (before) => ({ ...before, [field]: value === '' ? undefined : value }), replace: true });
  const labels = {
    actor: t('audit.who'),
    action: t('audit.what'),
    target: t('audit.target'),
    result: t('audit.result'),
    from: t('silence.from'),
    to: t('silence.until'),
  };
  return (
    <search className="bar" aria-label={t('filter')}>
      {FIELDS.map((field) => (
        <TextInput
          key={field}
          type={field === 'from' || field === 'to' ? 'datetime-local' : 'text'}
          label={labels[field]}
          defaultValue={filter[field] ?? ''}
          onBlur={(event) => change(field, event.currentTarget.value)}
          onKeyDown={(event) => event.key === 'Enter' && change(field, event.currentTarget.value)}
        />
      ))}
    </search>
  );
}

/** Checks the chain of hashes in this browser. */
function Verify() {
  const { t, number } = useWords();
  const act = useAct();
  const running = useRef<AbortController | null>(null);
  const [checked, setChecked] = useState(0);
  const [found, setFound] = useState<Verified | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  async function run() {
    running.current = new AbortController();
    setFound(null);
    setChecked(0);
    setFound(await verifyTrail(setChecked, running.current.signal));
  }
  // A browser has no hashes for pages that came without encryption from another machine.
  if (!isSecureContext) return <p className="dim">{t('audit.insecure')}</p>;
  return (
    <div className="panel bar" id="verify">
      <Button variant="default" onClick={() => act.mutate(run)} loading={act.isPending}>
        {t('audit.verify')}
      </Button>
      <span role="status">
        {found === null && checked > 0 && t('audit.checked', { n: number(checked) })}
        {found?.fault === null && <span className="good">{t('audit.fits', { n: number(found.entries) })}</span>}
        {typeof found?.fault === 'number' && <span className="late">{t('audit.broken', { n: found.fault })}</span>}
      </span>
      <span className="dim">{t('audit.about')}</span>
    </div>
  );
}
