import { Button, TextInput } from '@mantine/core';
import { useState } from 'react';
import { api } from '../../api/client.ts';
import { ticketOf } from '../../api/queries.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { TicketLink } from '../../parts/words.tsx';
import { refusalOf } from '../../session.ts';
import { type Action, useAct, useCanAct } from '../ticket/actions.ts';
import { Whom } from '../ticket/Whom.tsx';

interface Result {
  readonly id: string;
  /** Empty: done. */
  readonly refused: string;
}

const OFFERED: readonly Action[] = ['acknowledge', 'assign', 'comment'];

interface Props {
  readonly tickets: readonly ShownTicket[];
  /** Takes a ticket as it is now. */
  readonly update: (ticket: ShownTicket) => void;
  readonly clear: () => void;
}

/** Acts on all chosen tickets, one after another, and says what became of each. */
export function Bulk({ tickets, update, clear }: Props) {
  const { t, term, number } = useWords();
  const canAct = useCanAct();
  const [note, setNote] = useState('');
  const [to, setTo] = useState<string | null>(null);
  const [assignee, setAssignee] = useState('');
  const { results, busy, run } = useBulk(update);
  const possible = OFFERED.filter((action) => tickets.some((ticket) => canAct(action, ticket)));
  const isMissing = { assign: to === null, comment: note.trim() === '' } as Partial<Record<Action, boolean>>;
  if (tickets.length === 0 && results.length === 0) return null;
  const said = (action: Action) => ({
    note: note.trim(),
    ...(action === 'assign' ? { to: to ?? '', assignee: assignee.trim() } : {}),
  });
  return (
    <section className="panel stack bulk" aria-label={t('bulk')}>
      {tickets.length > 0 && (
        <div className="bar">
          <b>{t('bulk.chosen', { n: number(tickets.length) })}</b>
          {possible.includes('assign') && <Whom to={to} setTo={setTo} assignee={assignee} setAssignee={setAssignee} />}
          <TextInput
            label={t('note')}
            maxLength={4_000}
            value={note}
            onChange={(event) => setNote(event.currentTarget.value)}
          />
          {possible.map((action) => (
            <Button
              key={action}
              variant="default"
              disabled={busy || isMissing[action] === true}
              onClick={() => void run(action, tickets, said(action))}
            >
              {term('action', action)}
            </Button>
          ))}
          <Button variant="subtle" onClick={clear}>
            {t('bulk.clear')}
          </Button>
        </div>
      )}
      <ul className="results" aria-live="polite" id="bulk-results">
        {results.map(({ id, refused }) => (
          <li key={id}>
            <TicketLink id={id}>{id}</TicketLink>{' '}
            {refused === '' ? <span className="good">{t('bulk.done')}</span> : <span className="late">{refused}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/**
 * Runs an action on tickets, each for the version that was seen; a refusal of one stops no other. Who then asks again
 * asks for the version as it is now.
 */
function useBulk(update: Props['update']) {
  const act = useAct();
  const [results, setResults] = useState<readonly Result[]>([]);
  const [busy, setBusy] = useState(false);
  async function actOn({ id, version }: ShownTicket, action: Action, said: Readonly<Record<string, string>>) {
    try {
      update((await act.mutateAsync({ id, action, etag: `"${version}"`, ...said })).data);
      return '';
    } catch (error) {
      const now = ticketOf(api.GET('/api/v1/tickets/{id}', { params: { path: { id } } }));
      await now.then(
        ({ data }) => update(data),
        () => {},
      );
      return refusalOf(error);
    }
  }
  async function run(action: Action, tickets: readonly ShownTicket[], said: Readonly<Record<string, string>>) {
    setBusy(true);
    setResults([]);
    for (const ticket of tickets) {
      const refused = await actOn(ticket, action, said);
      setResults((before) => [...before, { id: ticket.id, refused }]);
    }
    setBusy(false);
  }
  return { results, busy, run };
}
