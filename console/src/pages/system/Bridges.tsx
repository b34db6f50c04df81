import { useQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { Age } from '../../parts/words.tsx';

/** The connections to other brokers: state, lag, counts and the last error of each. Nothing where there is none. */
export function Bridges() {
  const { t, number, duration } = useWords();
  const { data } = useQuery({
    queryKey: ['bridges'],
    refetchInterval: 15_000,
    queryFn: () => bodyOf(api.GET('/api/v1/bridges')),
  });
  if (data === undefined || data.items.length === 0) return null;
  return (
    <section className="panel" aria-labelledby="bridges">
      <header>
        <h2 id="bridges">{t('bridges.title')}</h2>
      </header>
      {data.items.map(({ id, url, state, since, acknowledged, refused, pending, lagSeconds, lastError }) => (
        <dl key={id} className="facts">
          <dt>{id}</dt>
          <dd>{url}</dd>
          <dt>{t('column.state')}</dt>
          <dd className={state === 'connected' ? 'good' : 'late'}>
            {t(`bridges.${state}`)} <Age at={since} />
          </dd>
          <dt>{t('bridges.acknowledged')}</dt>
          <dd>{number(acknowledged)}</dd>
          <dt>{t('bridges.refused')}</dt>
          <dd>{number(refused)}</dd>
          <dt>{t('bridges.pending')}</dt>
          <dd>{pending === 0 ? number(0) : `${number(pending)} · ${duration(lagSeconds * 1_000)}`}</dd>
          {lastError !== null && (
            <>
              <dt>{t('bridges.error')}</dt>
              <dd>
                {lastError.message} <Age at={lastError.at} />
              </dd>
            </>
          )}
        </dl>
      ))}
    </section>
  );
}
