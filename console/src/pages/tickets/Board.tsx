import { type DragEvent, useRef, useState } from 'react';
import { useNames } from '../../api/queries.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { useKeys } from '../../frame/keys.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { More } from '../../parts/More.tsx';
import { toast } from '../../parts/toasts.tsx';
import { Due, Failure, Scroll, Severity, TicketLink } from '../../parts/words.tsx';
import { refusalOf } from '../../session.ts';
import { useAct, useCanAct } from '../ticket/actions.ts';
import { MOVE_TO } from '../ticket/moves.ts';
import { Whom } from '../ticket/Whom.tsx';
import { type Filter, listOf, queryOf, STATUSES, WORKING } from './filter.ts';
import { useTicketList } from './list.ts';

type Status = ShownTicket['status'];
type Move = (ticket: ShownTicket, to: Status) => void;
/** The tickets of each column, as they are shown. */
type Known = Map<Status, readonly ShownTicket[]>;

/** The newest version: for a moment a ticket stands in the column that it left too. */
function knownAs(known: Known, id: string): ShownTicket | undefined {
  const found = [...known.values()].flat().filter((ticket) => ticket.id === id);
  return found.toSorted((a, b) => b.version - a.version)[0];
}

const PAGE = 30;

/** The columns of a filter: those of its statuses; without one, also what was just resolved. */
function columnsOf({ status }: Filter): readonly Status[] {
  if (status === undefined) return [...WORKING, 'resolved'];
  const wanted = listOf(status);
  return STATUSES.filter((one) => status === 'all' || wanted.includes(one));
}

/** Tickets by status. A card that is drawn into another column, or moved there by the keyboard, is acted on. */
export function Board({ filter }: { readonly filter: Filter }) {
  const { t } = useWords();
  const box = useRef<HTMLDivElement>(null);
  const known = useRef<Known>(new Map());
  const [assigning, setAssigning] = useState<ShownTicket | null>(null);
  const move = useMove(setAssigning);
  const columns = columnsOf(filter);
  useBoardKeys({ box, known, columns, move });
  return (
    <>
      <Scroll label={t('view.board')}>
        <div ref={box} className="board">
          {columns.map((status) => (
            <Column key={status} status={status} filter={filter} known={known.current} move={move} />
          ))}
        </div>
      </Scroll>
      <p className="dim wide">{t('board.keys')}</p>
      {assigning !== null && <Assigning ticket={assigning} close={() => setAssigning(null)} />}
    </>
  );
}

/** Returns the function that moves a ticket into another status; to assign it, `ask` finds out to whom. */
function useMove(ask: (ticket: ShownTicket) => void): Move {
  const { t, term } = useWords();
  const canAct = useCanAct();
  const act = useAct();
  return (ticket, to) => {
    if (ticket.status === to) return;
    const action = MOVE_TO[to];
    const words = { action: term('action', action), id: ticket.id, status: term('status', ticket.status) };
    if (!canAct(action, ticket)) return toast(t('board.not-possible', words), true);
    if (action === 'assign') return ask(ticket);
    // Callbacks of `mutate` are those of the last move only.
    act.mutateAsync({ id: ticket.id, action, etag: `"${ticket.version}"` }).then(
      () => toast(t('acted', words)),
      (error: unknown) => toast(refusalOf(error), true),
    );
  };
}

interface ColumnProps {
  readonly status: Status;
  readonly filter: Filter;
  readonly known: Known;
  readonly move: Move;
}

function Column({ status, filter, known, move }: ColumnProps) {
  const { term } = useWords();
  const { list, tickets } = useTicketList(queryOf({ ...filter, status }), PAGE);
  const [isOver, setOver] = useState(false);
  known.set(status, tickets);
  function drop(event: DragEvent) {
    event.preventDefault();
    setOver(false);
    const ticket = knownAs(known, event.dataTransfer.getData('text/plain'));
    if (ticket !== undefined) move(ticket, status);
  }
  return (
    <section
      className="column"
      data-status={status}
      data-over={isOver || undefined}
      aria-label={term('status', status)}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <h2>{term('status', status)}</h2>
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {tickets.map((ticket) => (
        <Card key={ticket.id} ticket={ticket} />
      ))}
      {list.hasNextPage && <More list={list} />}
    </section>
  );
}

function Card({ ticket }: { readonly ticket: ShownTicket }) {
  const { language } = useWords();
  const name = useNames();
  const { id, severity, status, department, dueAt } = ticket;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keyboard moves the card by the link in it.
    <div
      className="card"
      data-id={id}
      draggable
      onDragStart={({ dataTransfer }) => dataTransfer.setData('text/plain', id)}
    >
      <TicketLink id={id}>{language === 'zh' ? ticket.titleZh : ticket.title}</TicketLink>
      <div className="bar dim">
        <Severity of={severity} />
        <span>{name('departments', department)}</span>
        <span className="push">
          <Due at={dueAt} over={status === 'resolved' || status === 'closed'} />
        </span>
      </div>
    </div>
  );
}

interface BoardKeys {
  readonly box: React.RefObject<HTMLDivElement | null>;
  readonly known: React.RefObject<Known>;
  readonly columns: readonly Status[];
  readonly move: Move;
}

/** `h`, `j`, `k`, `l` go between cards; `H` and `L` move the one where the keyboard is. */
function useBoardKeys({ box, known, columns, move }: BoardKeys): void {
  const columnAt = (at: number) => box.current?.querySelectorAll<HTMLElement>('.column')[at];
  function here() {
    const card = document.activeElement?.closest<HTMLElement>('.card') ?? null;
    const status = card?.closest<HTMLElement>('.column')?.dataset.status as Status | undefined;
    const column = status === undefined ? -1 : columns.indexOf(status);
    const cards = [...(columnAt(column)?.querySelectorAll<HTMLElement>('.card') ?? [])];
    return { card, column, at: card === null ? -1 : cards.indexOf(card), cards };
  }
  const focus = (card: Element | undefined) => card?.querySelector('a')?.focus();
  function down(by: number) {
    const { card, cards, at } = here();
    if (card === null) return focus(box.current?.querySelector('.card') ?? undefined);
    focus(cards[Math.min(cards.length - 1, Math.max(0, at + by))]);
  }
  function across(by: number) {
    const { column, at } = here();
    for (let to = column + by; to >= 0 && to < columns.length; to += by) {
      const cards = columnAt(to)?.querySelectorAll('.card') ?? [];
      if (cards.length > 0) return focus(cards[Math.min(at, cards.length - 1)]);
    }
  }
  function carry(by: number) {
    const { card, column } = here();
    const ticket = knownAs(known.current, card?.dataset.id ?? '');
    const to = columns[column + by];
    if (ticket !== undefined && to !== undefined) move(ticket, to);
  }
  useKeys({
    j: () => down(1),
    k: () => down(-1),
    h: () => across(-1),
    l: () => across(1),
    H: () => carry(-1),
    L: () => carry(1),
  });
}

/** Asks to whom a ticket is assigned. */
function Assigning({ ticket, close }: { readonly ticket: ShownTicket; readonly close: () => void }) {
  const { t, term } = useWords();
  const act = useAct();
  const [to, setTo] = useState<string | null>(ticket.party ?? ticket.department);
  const [assignee, setAssignee] = useState('');
  async function run() {
    if (to === null) return toast(t('missing.party'), true);
    await act.mutateAsync({ id: ticket.id, action: 'assign', etag: `"${ticket.version}"`, to, assignee });
    close();
  }
  return (
    <FormDialog
      title={`${term('action', 'assign')}: ${ticket.id}`}
      submit={term('action', 'assign')}
      close={close}
      run={run}
    >
      <Whom to={to} setTo={setTo} assignee={assignee} setAssignee={setAssignee} />
    </FormDialog>
  );
}
