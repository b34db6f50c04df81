import { useNavigate } from '@tanstack/react-router';
import { memo, useCallback, useRef, useState } from 'react';
import { useNames } from '../../api/queries.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { type Keys, useKeys } from '../../frame/keys.ts';
import { useWords } from '../../language.ts';
import { SortHead } from '../../parts/SortHead.tsx';
import { toast } from '../../parts/toasts.tsx';
import { Age, Due, Severity, Status, TicketLink } from '../../parts/words.tsx';
import { refusalOf } from '../../session.ts';
import { type Action, useAct, useCanAct } from '../ticket/actions.ts';

const COLUMNS = ['severity', 'title', 'status', 'district', 'department', 'age', 'due'] as const;
/** The orders of the server that are columns. */
const ORDERS: Readonly<Record<string, string>> = { severity: 'severity', status: 'status', age: 'opened', due: 'due' };
const LETTERS: Readonly<Record<string, Action>> = { a: 'acknowledge', s: 'start', r: 'resolve' };

interface Props {
  readonly tickets: readonly ShownTicket[];
  readonly chosen: ReadonlyMap<string, ShownTicket>;
  readonly setChosen: (chosen: ReadonlyMap<string, ShownTicket>) => void;
}

interface TableProps extends Props {
  /** The order of the list, as the server has it. */
  readonly sort: string;
  readonly setSort: (sort: string) => void;
}

/** The tickets of a page; the keyboard moves through them, chooses them, and acts on the one where it is. */
export function TicketTable({ tickets, chosen, setChosen, sort, setSort }: TableProps) {
  const { t } = useWords();
  const body = useRef<HTMLTableSectionElement>(null);
  const [here, setHere] = useState<string | null>(null);
  const choose = useChoosing({ tickets, chosen, setChosen });
  useTableKeys({ tickets, here, setHere, body, choose });
  return (
    <div className="panel scroll" style={{ padding: '4px 6px' }}>
      <table className="list cards" aria-label={t('nav.tickets')}>
        <thead>
          <tr>
            <th>
              <span className="visually-hidden">{t('bulk.choose')}</span>
            </th>
            {COLUMNS.map((column) => {
              const by = ORDERS[column];
              if (by === undefined) return <th key={column}>{t(`column.${column}`)}</th>;
              const isTime = column === 'age' || column === 'due';
              return (
                <SortHead key={column} by={by} sort={sort} onChange={setSort} num={isTime} inverted={column === 'age'}>
                  {t(`column.${column}`)}
                </SortHead>
              );
            })}
          </tr>
        </thead>
        <tbody ref={body} onFocus={({ target }) => setHere(target.closest('tr')?.dataset.id ?? null)}>
          {tickets.map((ticket) => (
            <Row
              key={ticket.id}
              ticket={ticket}
              isHere={ticket.id === here}
              isChosen={chosen.has(ticket.id)}
              choose={choose}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

type Choose = (id: string, isRange: boolean) => void;

/** Chooses a ticket or lets it go; a range: all from the one before to this one. */
function useChoosing(props: Props): Choose {
  const last = useRef<string | null>(null);
  // The function stays the same, so that only those rows are drawn anew that change.
  const latest = useRef(props);
  latest.current = props;
  return useCallback((id, isRange) => {
    const { tickets, chosen, setChosen } = latest.current;
    const next = new Map(chosen);
    const [from, to] = [last.current, id].map((one) => tickets.findIndex((ticket) => ticket.id === one));
    // The keyboard may be where a ticket was that has left the list.
    if (to === -1 && !chosen.has(id)) return;
    if (isRange && from !== -1 && to !== -1) {
      const range = tickets.slice(Math.min(from!, to!), Math.max(from!, to!) + 1);
      for (const ticket of range) next.set(ticket.id, ticket);
    } else if (!next.delete(id)) next.set(id, tickets[to!]!);
    last.current = id;
    setChosen(next);
  }, []);
}

interface RowProps {
  readonly ticket: ShownTicket;
  readonly isHere: boolean;
  readonly isChosen: boolean;
  readonly choose: Choose;
}

/** Drawn anew only where it changes: a list may have a thousand of them. */
const Row = memo(function Row({ ticket, isHere, isChosen, choose }: RowProps) {
  const { t, language } = useWords();
  const name = useNames();
  const { id, severity, status, district, department, party, openedAt, dueAt, silencedBy } = ticket;
  const title = language === 'zh' ? ticket.titleZh : ticket.title;
  return (
    <tr data-id={id} data-here={isHere || undefined}>
      <td>
        <input
          type="checkbox"
          aria-label={t('bulk.choose-one', { title })}
          checked={isChosen}
          onChange={({ nativeEvent }) => choose(id, nativeEvent instanceof MouseEvent && nativeEvent.shiftKey)}
        />
      </td>
      <td>
        <Severity of={severity} />
      </td>
      <td className="title">
        <TicketLink id={id}>{title}</TicketLink>
        {silencedBy.length > 0 && <span className="pill">{t('silenced')}</span>}
      </td>
      <td>
        <Status of={status} />
      </td>
      <td>{name('districts', district)}</td>
      <td>
        {party === null
          ? name('departments', department)
          : `${name('departments', department)} → ${name('departments', party)}`}
      </td>
      <td className="num" data-label={t('column.age')}>
        <Age at={openedAt} />
      </td>
      <td className="num" data-label={t('column.due')}>
        <Due at={dueAt} over={status === 'resolved' || status === 'closed'} />
      </td>
    </tr>
  );
});

interface TableKeys {
  readonly tickets: readonly ShownTicket[];
  readonly here: string | null;
  readonly setHere: (id: string | null) => void;
  readonly body: React.RefObject<HTMLTableSectionElement | null>;
  readonly choose: Choose;
}

function useTableKeys({ tickets, here, setHere, body, choose }: TableKeys): void {
  const { t, term } = useWords();
  const navigate = useNavigate();
  const canAct = useCanAct();
  const act = useAct();
  const at = tickets.findIndex(({ id }) => id === here);
  function step(by: number) {
    const ticket = tickets[at === -1 ? 0 : Math.min(tickets.length - 1, Math.max(0, at + by))];
    if (ticket === undefined) return;
    setHere(ticket.id);
    body.current?.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(ticket.id)}"] a`)?.focus();
  }
  async function run(action: Action) {
    const ticket = tickets[at];
    if (ticket === undefined || !canAct(action, ticket)) return;
    try {
      await act.mutateAsync({ id: ticket.id, action, etag: `"${ticket.version}"` });
      toast(t('acted', { action: term('action', action), id: ticket.id }));
    } catch (error) {
      toast(refusalOf(error), true);
    }
  }
  const acts = Object.entries(LETTERS).map(([letter, action]) => [letter, () => void run(action)] as const);
  const keys: Keys = {
    j: () => step(1),
    k: () => step(-1),
    x: () => here !== null && choose(here, false),
    X: () => here !== null && choose(here, true),
    o: () => here !== null && void navigate({ to: '/tickets/$id', params: { id: here } }),
    ...Object.fromEntries(acts),
  };
  useKeys(keys);
}
