import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { api, bodyOf } from '../api/client.ts';
import { useCity, useNames, useTicket } from '../api/queries.ts';
import type { City, ShownTicket } from '../api/schema.ts';
import { useKeys } from '../frame/keys.ts';
import { useWords } from '../language.ts';
import { Due, Failure, Group, Severity, Status, TicketLink } from '../parts/words.tsx';
import { useMay, useMayIn } from '../session.ts';
import { Acting } from './ticket/Acting.tsx';
import { Alerts } from './ticket/Alerts.tsx';
import { Evidence } from './ticket/Evidence.tsx';
import { History } from './ticket/History.tsx';
import { Parts } from './ticket/Parts.tsx';
import { Report, Reporter } from './ticket/Report.tsx';
import { RunCommand } from './ticket/RunCommand.tsx';

/** One ticket, live: what it is about, why it is there, what was done and what can be done. */
export function Ticket() {
  const { id } = useParams({ from: '/tickets/$id' });
  const { t, language } = useWords();
  const navigate = useNavigate();
  const may = useMay('tickets.write');
  const mayIn = useMayIn();
  const city = useCity();
  const { data, error, refetch } = useTicket(id);
  useKeys({ u: () => void navigate({ to: '/tickets' }) });
  if (error !== null && data === undefined) return <Failure error={error} again={() => void refetch()} />;
  if (data === undefined) return <p className="dim">{t('loading')}</p>;
  const { data: ticket, etag } = data;
  return (
    <>
      <div className="bar">
        <Severity of={ticket.severity} />
        <h1>{language === 'zh' ? ticket.titleZh : ticket.title}</h1>
        <Status of={ticket.status} />
        {ticket.silencedBy.length > 0 && <span className="pill">{t('silenced')}</span>}
        <span className="push" />
        {ticket.rule !== null && mayIn('silences.write', ticket.department) && (
          <Link className="pill" to="/silences" search={silenceOf(ticket, city.data)}>
            {t('silence.make')}
          </Link>
        )}
        <span className="dim">{ticket.id}</span>
      </div>
      <div className="columns">
        <div className="stack">
          {ticket.description !== null && (
            <section className="panel">
              <p style={{ whiteSpace: 'pre-wrap' }}>{ticket.description}</p>
            </section>
          )}
          {ticket.origin === 'citizen' && <Report id={ticket.id} />}
          {ticket.evidence !== null && <Evidence ticket={ticket} evidence={ticket.evidence} />}
          {ticket.alertCount > 0 && <Alerts key={`alerts ${ticket.id}`} ticket={ticket} />}
          <History ticket={ticket} />
        </div>
        <div className="stack">
          {may && <Acting key={ticket.id} ticket={ticket} etag={etag} />}
          <RunCommand key={`command ${ticket.id}`} ticket={ticket} etag={etag} />
          <Facts ticket={ticket} />
          {ticket.origin === 'citizen' && <Reporter key={`reporter ${ticket.id}`} ticket={ticket} />}
          <Parts key={`parts ${ticket.id}`} ticket={ticket} etag={etag} />
        </div>
      </div>
    </>
  );
}

/** A silence of what the ticket is about: its rule, and the device or district where it fires. */
function silenceOf({ rule, group }: ShownTicket, city: City | undefined) {
  const start = { rule: rule ?? undefined };
  if (group === null || group === 'city' || group.startsWith('~')) return start;
  const isDistrict = city?.districts.some(({ id }) => id === group) === true;
  return { ...start, ...(isDistrict ? { district: group } : { device: group }) };
}

function Facts({ ticket }: { readonly ticket: ShownTicket }) {
  const { t, term, time } = useWords();
  const name = useNames();
  const isDone = ticket.status === 'resolved' || ticket.status === 'closed';
  const { party, assignee, offer, acknowledgeBy, parent, rating, address, location } = ticket;
  return (
    <section className="panel" aria-label={t('facts')}>
      <dl className="facts">
        <Fact text={t('column.due')}>
          <Due at={ticket.dueAt} over={isDone} />
        </Fact>
        {acknowledgeBy !== null && (
          <Fact text={t('acknowledge-by')}>
            <Due at={acknowledgeBy} over={false} />
          </Fact>
        )}
        <Fact text={t('column.service')}>{name('services', ticket.service)}</Fact>
        <Fact text={t('column.department')}>{name('departments', ticket.department)}</Fact>
        {party !== null && <Fact text={t('party')}>{name('departments', party)}</Fact>}
        {assignee !== null && <Fact text={t('assignee')}>{assignee}</Fact>}
        {offer !== null && (
          <Fact text={t('offered')}>
            {t('offered-until', { who: name('departments', offer.to), at: time(offer.until) })}
          </Fact>
        )}
        <Fact text={t('column.district')}>{name('districts', ticket.district)}</Fact>
        {address !== null && <Fact text={t('address')}>{address}</Fact>}
        {location !== null && <Fact text={t('place')}>{`${location.lat.toFixed(5)}, ${location.lon.toFixed(5)}`}</Fact>}
        {ticket.asset !== null && (
          <Fact text={t('asset')}>
            <Asset id={ticket.asset} />
          </Fact>
        )}
        <Fact text={t('column.origin')}>{term('origin', ticket.origin)}</Fact>
        {ticket.rule !== null && (
          <Fact text={t('rule')}>
            <Link to="/rules/$id" params={{ id: ticket.rule }}>
              {ticket.rule}
            </Link>{' '}
            · <Group id={ticket.group ?? ''} />
          </Fact>
        )}
        {ticket.alertCount > 1 && <Fact text={t('alerts')}>{ticket.alertCount}</Fact>}
        {ticket.reports > 0 && <Fact text={t('reports')}>{ticket.reports}</Fact>}
        {parent !== null && (
          <Fact text={t(ticket.relation === 'part' ? 'part-of' : 'report-of')}>
            <TicketLink id={parent}>{parent}</TicketLink>
          </Fact>
        )}
        <Fact text={t('opened')}>{time(ticket.openedAt)}</Fact>
        {ticket.resolvedAt !== null && <Fact text={term('status', 'resolved')}>{time(ticket.resolvedAt)}</Fact>}
        {rating !== null && <Fact text={t('rating')}>{`${'★'.repeat(rating.stars)} ${rating.comment}`}</Fact>}
      </dl>
    </section>
  );
}

/** A pole, bin or manhole of the city, and where else to look for what happened there. */
function Asset({ id }: { readonly id: string }) {
  const { t, language } = useWords();
  const may = useMay('devices.read');
  const { data } = useQuery({
    queryKey: ['asset', id],
    enabled: may,
    staleTime: 300_000,
    queryFn: () => bodyOf(api.GET('/api/v1/assets/{id}', { params: { path: { id } } })),
  });
  if (data === undefined) return <>{id}</>;
  const near = `${data.location.lat},${data.location.lon},${AT_ASSET_M}`;
  return (
    <>
      {[data.title?.[language], data.kind, id].filter((part) => part).join(' · ')}
      <div className="bar">
        <Link to="/tickets" search={{ near, status: 'all' }}>
          {t('asset.tickets')}
        </Link>
        <Link to="/devices" search={{ near }}>
          {t('asset.devices')}
        </Link>
      </div>
    </>
  );
}

/** What is at most so far from an asset is there, metres. */
const AT_ASSET_M = 25;

function Fact({ text, children }: { readonly text: string; readonly children: React.ReactNode }) {
  return (
    <>
      <dt>{text}</dt>
      <dd>{children}</dd>
    </>
  );
}
