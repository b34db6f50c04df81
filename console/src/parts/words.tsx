import { Link } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useNames } from '../api/queries.ts';
import { useWords } from '../language.ts';
import { refusalOf } from '../session.ts';
import { createStore, useStore } from '../store.ts';

/** A severity: its colour, and its name. */
export function Severity({ of }: { readonly of: string }) {
  const { term } = useWords();
  return <span className={`sev ${of}`}>{term('severity', of)}</span>;
}

export function Status({ of }: { readonly of: string }) {
  const { term } = useWords();
  return <span className="pill">{term('status', of)}</span>;
}

const ticking = createStore(Date.now());
const TICK_MS = 30_000;
let readers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** The time of now, every half minute; one timer for all that show it. */
function useNow(): number {
  useEffect(() => {
    if (readers++ === 0) {
      ticking.set(Date.now());
      timer = setInterval(() => ticking.set(Date.now()), TICK_MS);
    }
    return () => {
      if (--readers === 0) clearInterval(timer);
    };
  }, []);
  return useStore(ticking);
}

/** How long ago something was. */
export function Age({ at }: { readonly at: string }) {
  const { duration, time } = useWords();
  const now = useNow();
  return (
    <time dateTime={at} title={time(at)} className="nowrap">
      {duration(now - Date.parse(at))}
    </time>
  );
}

/** How long until something is due, or by how much it is late. */
export function Due({ at, over }: { readonly at: string; readonly over: boolean }) {
  const { duration, time, t } = useWords();
  const now = useNow();
  if (over) return <span className="dim">–</span>;
  const left = Date.parse(at) - now;
  return (
    <time dateTime={at} title={time(at)} className={left < 0 ? 'late nowrap' : 'nowrap'}>
      {left < 0 ? t('late-by', { d: duration(-left) }) : duration(left)}
    </time>
  );
}

/** Why something cannot be shown, and how to try again. */
export function Failure({ error, again }: { readonly error: unknown; readonly again?: () => void }) {
  const { t } = useWords();
  return (
    <div className="panel empty" role="alert">
      <p>{refusalOf(error)}</p>
      {again !== undefined && (
        <button type="button" onClick={again}>
          {t('again')}
        </button>
      )}
    </div>
  );
}

export function TicketLink({ id, children }: { readonly id: string; readonly children: React.ReactNode }) {
  return (
    <Link to="/tickets/$id" params={{ id }}>
      {children}
    </Link>
  );
}

/** What an alert is about: a device, a district, or the city. */
export function Group({ id }: { readonly id: string }) {
  const name = useNames();
  const isDevice = id !== 'city' && !id.startsWith('~') && name('districts', id) === id;
  if (!isDevice) return <>{name('districts', id)}</>;
  return (
    <Link to="/devices/$id" params={{ id }}>
      {id}
    </Link>
  );
}

/** What may be wider than the screen: the keyboard scrolls it (WCAG 2.1.1). */
export function Scroll({ label, children }: { readonly label: string; readonly children: React.ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard can scroll only what it reaches.
    <section className="scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
