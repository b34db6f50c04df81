import { Link } from '@tanstack/react-router';
import { useNames } from '../../api/queries.ts';
import { useWords } from '../../language.ts';
import { type LiveEvent, live } from '../../live.ts';
import { Severity, TicketLink } from '../../parts/words.tsx';
import { useStore } from '../../store.ts';
import { wordsOf } from '../silences/words.ts';

/** What happens in the city, the newest first. */
export function Feed() {
  const { t } = useWords();
  const { events, state } = useStore(live);
  return (
    <section className="panel" aria-labelledby="feed-title">
      <header>
        <h2 id="feed-title">{t('feed')}</h2>
        {state === 'behind' && <span className="dim">{t('live.behind')}</span>}
      </header>
      {events.length === 0 && <p className="empty">{t('feed.none')}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be reached by the keyboard (WCAG 2.1.1). */}
      <ol id="feed" className="feed" tabIndex={0} aria-labelledby="feed-title">
        {events.map((event) => (
          <Entry key={event.id} event={event} />
        ))}
      </ol>
    </section>
  );
}

function Entry({ event }: { readonly event: LiveEvent }) {
  const { clock, term } = useWords();
  const { data, type, time } = event;
  const [, kind = '', name = ''] = /^city\.lamppost\.(\w+)\.(.+)$/.exec(type) ?? [];
  return (
    <li>
      <time dateTime={time}>{clock(time)}</time>
      <span>
        {data.severity !== undefined && <Severity of={data.severity} />}{' '}
        <span className="dim">{kind === 'ticket' ? term('change', name) : term('event', `${kind}.${name}`)}</span>{' '}
        <About event={event} kind={kind} />
      </span>
    </li>
  );
}

/** What an event is about, as a link where it has a page. */
function About({ event: { data, subject }, kind }: { readonly event: LiveEvent; readonly kind: string }) {
  const words = useWords();
  const name = useNames();
  if (data.matchers !== undefined) {
    return (
      <>
        <Link to="/silences">{wordsOf(data.matchers, words, name)}</Link> <span className="dim">{data.comment}</span>
      </>
    );
  }
  if (data.device !== undefined && (kind === 'command' || kind === 'desired')) {
    return (
      <Link to="/devices/$id" params={{ id: data.device }}>
        {[data.device, data.command].filter(Boolean).join(' · ')}
      </Link>
    );
  }
  const text = (words.language === 'zh' ? data.titleZh : data.title) ?? subject;
  const ticket = kind === 'ticket' ? data.id : data.ticket;
  return typeof ticket === 'string' ? <TicketLink id={ticket}>{text}</TicketLink> : text;
}
