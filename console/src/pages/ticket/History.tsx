import { useNames } from '../../api/queries.ts';
import type { ShownTicket, TicketChange } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { noteInChinese } from '../../texts/notes.ts';

/** What was done to the ticket, the newest first. */
export function History({ ticket }: { readonly ticket: ShownTicket }) {
  const { t } = useWords();
  return (
    <section className="panel" aria-labelledby="history">
      <header>
        <h2 id="history">{t('history')}</h2>
      </header>
      <Changes of={ticket.history} />
    </section>
  );
}

/** Changes of a ticket, the newest first. */
export function Changes({ of }: { readonly of: readonly TicketChange[] }) {
  const { time, term } = useWords();
  const who = useWho();
  const said = useNotes();
  return (
    <ol className="timeline">
      {numbered(of).map(([n, change]) => (
        <li key={n}>
          <b>{term('change', change.action)}</b> <span className="dim">{who(change)}</span>{' '}
          <time className="dim" dateTime={change.at}>
            {time(change.at)}
          </time>
          {change.note !== '' && <p>{said(change.note)}</p>}
        </li>
      ))}
    </ol>
  );
}

/** The newest first; the number of a change stays the same when others follow. */
const numbered = (of: readonly TicketChange[]) => [...of.entries()].reverse();

const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

/** Returns the function that says a note of the engine in the language of the page. */
function useNotes(): (note: string) => string {
  const { language, term, time } = useWords();
  const name = useNames();
  const withTimes = (note: string) => note.replace(TIME, (iso) => time(iso));
  if (language === 'en') return withTimes;
  const words = {
    severity: (id: string) => term('severity', id),
    department: (id: string) => name('departments', id),
    metric: (id: string) => name('metrics', id),
    fn: (id: string) => term('fn', id),
    op: (id: string) => term('op', id),
    time: (iso: string) => (Number.isNaN(Date.parse(iso)) ? iso : time(iso)),
  };
  return (note) => noteInChinese(note, words);
}

/** Returns the function that says who made a change. */
function useWho(): (change: TicketChange) => string {
  const { t, term } = useWords();
  return ({ by, byName }) => {
    if (byName !== undefined) return byName;
    const [kind, ...rest] = by.split(':');
    const id = rest.join(':');
    if (id === '') return term('by', kind!);
    return t('by.of', { kind: term('by', kind!), id });
  };
}
