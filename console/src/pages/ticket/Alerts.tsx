import { Button } from '@mantine/core';
import { useInfiniteQuery, useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useNames } from '../../api/queries.ts';
import type { ShownTicket, TicketAlert } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small } from '../../parts/acting.tsx';
import { More } from '../../parts/More.tsx';
import { Age, Group, Severity } from '../../parts/words.tsx';
import { useMay, useMayIn } from '../../session.ts';
import { useEndSilence } from '../silences/end.ts';
import { wordsOf } from '../silences/words.ts';
import { Waits } from '../tickets/Waiting.tsx';

/** The alerts of a ticket as they are now, what silences them, and which others it holds back. */
export function Alerts({ ticket }: { readonly ticket: ShownTicket }) {
  const { t } = useWords();
  const list = useInfiniteQuery({
    queryKey: ['ticket', ticket.id, 'alerts'],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam }) => {
      const params = { path: { id: ticket.id }, query: { limit: 20, after: pageParam } };
      return bodyOf(api.GET('/api/v1/tickets/{id}/alerts', { params }));
    },
    getNextPageParam: ({ next }) => next,
  });
  const alerts = list.data?.pages.flatMap(({ items }) => items) ?? [];
  return (
    <section className="panel stack" aria-labelledby="ticket-alerts">
      <h2 id="ticket-alerts">{t('alerts')}</h2>
      {alerts.map((alert) => (
        <Alert key={`${alert.rule} ${alert.group}`} alert={alert} />
      ))}
      {list.hasNextPage && <More list={list} />}
      {ticket.silencedBy.length > 0 && <Silences ids={ticket.silencedBy} department={ticket.department} />}
      <Waits
        title={t('waits.for-this')}
        matches={({ reason, cause }) =>
          reason === 'inhibited' && alerts.some(({ rule, group }) => cause === `${rule}/${group}`)
        }
      />
    </section>
  );
}

/** One alert; why it fires, or does not any more, is asked for when somebody wants to know. */
function Alert({ alert: { rule, group, state, severity, since } }: { readonly alert: TicketAlert }) {
  const { t } = useWords();
  const may = useMay('alerts.read');
  const [asking, setAsking] = useState(false);
  return (
    <div>
      <div className="bar" data-alert={`${rule}/${group}`}>
        <Severity of={severity} />
        <Link to="/rules/$id" params={{ id: rule }}>
          {rule}
        </Link>
        <Group id={group} />
        <span className={state === 'firing' ? 'late' : 'dim'}>
          {t(state === 'firing' ? 'alert.firing' : 'alert.inactive')}
        </span>
        <span className="dim push">
          <Age at={since} />
        </span>
        {may && (
          <Button
            variant="default"
            size="compact-xs"
            aria-expanded={asking}
            aria-label={`${t('alert.now')}: ${rule}, ${group}`}
            onClick={() => setAsking(!asking)}
          >
            {t('alert.now')}
          </Button>
        )}
      </div>
      {asking && <Explained rule={rule} group={group} />}
    </div>
  );
}

function Explained({ rule, group }: { readonly rule: string; readonly group: string }) {
  const { t, language } = useWords();
  const { data } = useQuery({
    queryKey: ['alerts', rule, group],
    queryFn: () => bodyOf(api.GET('/api/v1/alerts/{rule}/{group}', { params: { path: { rule, group } } })),
  });
  return (
    <p className="dim" aria-live="polite">
      {data === undefined ? t('loading') : (data.explanation?.text[language] ?? t('alert.unexplained'))}
    </p>
  );
}

interface SilencesProps {
  readonly ids: readonly string[];
  readonly department: string;
}

/** The silences that keep the alerts of the ticket from raising anything more: by whom, why and until when. */
function Silences({ ids, department }: SilencesProps) {
  const words = useWords();
  const { t, time } = words;
  const name = useNames();
  const mayRead = useMay('silences.read');
  const mayEnd = useMayIn()('silences.write', department);
  const end = useEndSilence();
  const found = useQueries({
    queries: ids.map((id) => ({
      queryKey: ['silences', 'one', id],
      enabled: mayRead,
      queryFn: () => bodyOf(api.GET('/api/v1/silences/{id}', { params: { path: { id } } })),
    })),
  });
  return (
    <div className="stack" id="silenced-by">
      <h3>{t('silenced.by')}</h3>
      {found.map(({ data }, i) => {
        const id = ids[i]!;
        if (data === undefined) return <p key={id}>{id}</p>;
        return (
          <div key={id} className="bar">
            <span>{wordsOf(data.matchers, words, name)}</span>
            <span className="dim">
              {t('silenced.why', { why: data.comment, who: data.author, until: time(data.endsAt) })}
            </span>
            {mayEnd && <Small label={t('silence.end')} onClick={() => end(data)} />}
          </div>
        );
      })}
    </div>
  );
}
