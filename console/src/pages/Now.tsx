import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, bodyOf } from '../api/client.ts';
import { useLedger } from '../api/queries.ts';
import { useWords } from '../language.ts';
import { useMay } from '../session.ts';
import { CityMap } from './now/CityMap.tsx';
import { Feed } from './now/Feed.tsx';
import { Ledger } from './now/Ledger.tsx';

/** The city at this moment. */
export function Now() {
  const { t } = useWords();
  const mayTickets = useMay('tickets.read');
  const mayEvents = useMay('events.read');
  const mayDevices = useMay('devices.read');
  const mayLedger = useMay('ledger.read');
  return (
    <>
      <h1>{t('nav.now')}</h1>
      {mayTickets && <Counters />}
      <div className="columns">
        <div className="stack">
          {mayDevices && <CityMap />}
          {mayLedger && <LedgerPanel />}
        </div>
        <div className="stack">{mayEvents && <Feed />}</div>
      </div>
    </>
  );
}

function LedgerPanel() {
  const { data } = useLedger();
  return data === undefined ? null : <Ledger ledger={data} />;
}

/** Tickets by what they need, each a link to these tickets. */
function Counters() {
  const { t, term, number } = useWords();
  const { data } = useQuery({
    queryKey: ['counts'],
    queryFn: () => bodyOf(api.GET('/api/v1/tickets/counts', { params: { query: {} } })),
  });
  const count = (status: 'open' | 'acknowledged' | 'assigned' | 'in_progress') => number(data?.byStatus[status] ?? 0);
  return (
    <section className="panel counts" aria-label={t('nav.tickets')}>
      {(['open', 'acknowledged', 'assigned', 'in_progress'] as const).map((status) => (
        <Link key={status} className="count" to="/tickets" search={{ status }}>
          <b>{count(status)}</b>
          <span>{term('status', status)}</span>
        </Link>
      ))}
      <Link className="count" to="/tickets">
        <b className={(data?.overdue ?? 0) > 0 ? 'late' : ''}>{number(data?.overdue ?? 0)}</b>
        <span>{t('overdue')}</span>
      </Link>
    </section>
  );
}
