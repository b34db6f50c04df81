import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, bodyOf } from '../../api/client.ts';
import { useNames } from '../../api/queries.ts';
import type { WaitingTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { More } from '../../parts/More.tsx';
import { Group, Severity } from '../../parts/words.tsx';
import { useMay } from '../../session.ts';
import { wordsOf } from '../silences/words.ts';

interface Props {
  readonly title: string;
  /** Which of them are shown; absent: all. */
  readonly matches?: (wait: WaitingTicket) => boolean;
}

/** Alerts that fire without a ticket of their own, and what each waits for. Nothing where there is none. */
export function Waits({ title, matches = () => true }: Props) {
  const { language } = useWords();
  const list = useInfiniteQuery({
    // Alerts change with events, as tickets do.
    queryKey: ['tickets', 'waiting'],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam }) =>
      bodyOf(api.GET('/api/v1/tickets/waiting', { params: { query: { limit: 100, after: pageParam } } })),
    getNextPageParam: ({ next }) => next,
  });
  const waits = list.data?.pages.flatMap(({ items }) => items).filter(matches) ?? [];
  if (waits.length === 0) return null;
  return (
    <details className="stack" data-waits>
      <summary>{`${title} (${waits.length}${list.hasNextPage ? '+' : ''})`}</summary>
      <ul className="results">
        {waits.map((wait) => (
          <li key={`${wait.rule} ${wait.group}`} className="bar">
            <Severity of={wait.severity} />
            <span>{language === 'zh' ? wait.titleZh : wait.title}</span>
            <Group id={wait.group} />
            <span className="dim">
              <Reason of={wait} />
            </span>
          </li>
        ))}
      </ul>
      {list.hasNextPage && <More list={list} />}
    </details>
  );
}

/** Why the ticket of an alert waits: the silence, the other alert, or those that it is gathered with. */
function Reason({ of: { reason, cause, opensAt } }: { readonly of: WaitingTicket }) {
  const words = useWords();
  const { t, time } = words;
  const name = useNames();
  const mayRead = useMay('silences.read');
  const { data } = useQuery({
    queryKey: ['silences', 'one', cause],
    enabled: mayRead && reason === 'silenced',
    staleTime: 60_000,
    queryFn: () => bodyOf(api.GET('/api/v1/silences/{id}', { params: { path: { id: cause } } })),
  });
  if (reason === 'gathering') return <>{t('waits.gathering', { at: opensAt === null ? '–' : time(opensAt) })}</>;
  if (reason === 'inhibited') return <>{t('waits.inhibited', { cause: cause.replace('/', ': ') })}</>;
  if (data === undefined) return <>{t('waits.silenced', { what: cause })}</>;
  const { matchers, comment, author, endsAt } = data;
  return (
    <>
      <Link to="/silences">{t('waits.silenced', { what: wordsOf(matchers, words, name) })}</Link>{' '}
      {t('silenced.why', { why: comment, who: author, until: time(endsAt) })}
    </>
  );
}
