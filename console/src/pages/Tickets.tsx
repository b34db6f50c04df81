import { Button, SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import type { ShownTicket } from '../api/schema.ts';
import { useKeys } from '../frame/keys.ts';
import { useWords } from '../language.ts';
import { More } from '../parts/More.tsx';
import { Failure } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { Board } from './tickets/Board.tsx';
import { Bulk } from './tickets/Bulk.tsx';
import { Filters } from './tickets/Filters.tsx';
import { type Filter, filtersIn, queryOf } from './tickets/filter.ts';
import { useTicketList } from './tickets/list.ts';
import { NewTicket } from './tickets/NewTicket.tsx';
import { TicketTable } from './tickets/Table.tsx';
import { Waits } from './tickets/Waiting.tsx';

export { filtersIn } from './tickets/filter.ts';

const PAGE = 50;

/** All tickets of a filter, which is in the address: as a table, or as a board by status. */
export function Tickets() {
  const { t } = useWords();
  const filter = filtersIn(useSearch({ strict: false }));
  const navigate = useNavigate({ from: '/tickets' });
  const mayOpen = useMay('tickets.open');
  const [opening, setOpening] = useState(false);
  const setFilter = (change: Partial<Filter>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  useKeys({
    n: (event) => {
      event.preventDefault();
      if (mayOpen) setOpening(true);
    },
  });
  return (
    <>
      <div className="bar">
        <h1>{t('nav.tickets')}</h1>
        <Counts filter={filter} />
        <span className="push" />
        <SegmentedControl
          aria-label={t('view')}
          value={filter.view ?? 'table'}
          onChange={(view) => setFilter({ view: view === 'table' ? undefined : view })}
          data={(['table', 'board'] as const).map((value) => ({ value, label: t(`view.${value}`) }))}
        />
        {mayOpen && <Button onClick={() => setOpening(true)}>{t('ticket.new')}</Button>}
      </div>
      <Filters filter={filter} change={setFilter} />
      <Waits title={t('waits')} />
      {filter.view === 'board' ? <Board filter={filter} /> : <Listed filter={filter} change={setFilter} />}
      {opening && <NewTicket close={() => setOpening(false)} />}
    </>
  );
}

interface ListedProps {
  readonly filter: Filter;
  readonly change: (change: Partial<Filter>) => void;
}

function Listed({ filter, change }: ListedProps) {
  const { t } = useWords();
  const { list, tickets } = useTicketList(queryOf(filter), PAGE);
  // Chosen ones stay so where they leave the list: what was done to them may be why.
  const [chosen, setChosen] = useState<ReadonlyMap<string, ShownTicket>>(new Map());
  const newest = new Map(tickets.map((ticket) => [ticket.id, ticket]));
  const acted = [...chosen.values()].map((ticket) => newer(ticket, newest.get(ticket.id)));
  const update = (ticket: ShownTicket) =>
    setChosen((before) => (before.has(ticket.id) ? new Map(before).set(ticket.id, ticket) : before));
  return (
    <>
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.isSuccess && tickets.length === 0 && <p className="panel empty">{t('tickets.none')}</p>}
      <Bulk tickets={acted} update={update} clear={() => setChosen(new Map())} />
      {tickets.length > 0 && (
        <TicketTable
          tickets={tickets}
          chosen={chosen}
          setChosen={setChosen}
          sort={filter.sort ?? '-opened'}
          setSort={(sort) => change({ sort: sort === '-opened' ? undefined : sort })}
        />
      )}
      {list.hasNextPage && <More list={list} />}
    </>
  );
}

function newer(ticket: ShownTicket, other: ShownTicket | undefined): ShownTicket {
  return other === undefined || other.version < ticket.version ? ticket : other;
}

/** How many tickets match, as the server counts them. */
function Counts({ filter }: { readonly filter: Filter }) {
  const { t, number } = useWords();
  const { status: _, sort: __, ...rest } = queryOf(filter);
  const { data } = useQuery({
    queryKey: ['counts', rest],
    queryFn: () => bodyOf(api.GET('/api/v1/tickets/counts', { params: { query: rest } })),
  });
  if (data === undefined) return null;
  const { resolved = 0, closed = 0, ...working } = data.byStatus;
  const open = Object.values(working).reduce((sum, count) => sum + count, 0);
  return (
    <p className="bar dim" id="counts">
      <span>{t('tickets.open-count', { n: number(open) })}</span>
      <span className={data.overdue > 0 ? 'late' : ''}>{t('tickets.overdue-count', { n: number(data.overdue) })}</span>
      <span>{t('tickets.done-count', { n: number(resolved + closed) })}</span>
    </p>
  );
}
