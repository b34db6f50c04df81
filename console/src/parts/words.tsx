import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useWords } from '../language.ts';
import { refusalOf } from '../session.ts';

/** A severity: its colour, and its name. */
export function Severity({ of }: { readonly of: string }) {
  const { term } = useWords();
  return <span className={`sev ${of}`}>{term('severity', of)}</span>;
}

export function Status({ of }: { readonly of: string }) {
  const { term } = useWords();
  return <span className="pill">{term('status', of)}</span>;
}

/** The time of now, every half minute. */
function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
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

/** What may be wider than the screen: the keyboard scrolls it (WCAG 2.1.1). */
export function Scroll({ label, children }: { readonly label: string; readonly children: React.ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard can scroll only what it reaches.
    <section className="scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
