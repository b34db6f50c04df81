import { lazy, Suspense, useState } from 'react';
import type { PublicCity } from '../api/schema.ts';
import type { Chosen } from './City.tsx';
import { useHistory } from './data.ts';
import { useWords } from './words.ts';

const PublicChart = lazy(() => import('./Chart.tsx'));
const SPANS = ['day', 'week', 'month', 'year'] as const;

/** A published metric of a station over time. */
export function History({ city, chosen }: { readonly city: PublicCity; readonly chosen: Chosen }) {
  const words = useWords();
  const { t, language, number } = words;
  const [span, setSpan] = useState<(typeof SPANS)[number]>('day');
  const address = `/public/history?${new URLSearchParams({ ...chosen, span })}`;
  const history = useHistory(address);
  const series = history.state === 'there' ? history.data.series[0] : undefined;
  const values = (series?.points ?? []).map(([, value]) => value).filter((value) => value !== null);
  const title = city.metrics.find(({ id }) => id === chosen.metric)?.title[language] ?? chosen.metric;
  const label = t('history.of', { metric: title, device: chosen.device });
  return (
    <section className="panel" id="history" aria-labelledby="history-title">
      <header>
        <h2 id="history-title">{label}</h2>
        <fieldset className="push spans" aria-label={t('span')}>
          {SPANS.map((one) => (
            <button key={one} type="button" aria-pressed={one === span} onClick={() => setSpan(one)}>
              {t(`span.${one}`)}
            </button>
          ))}
        </fieldset>
      </header>
      {history.state === 'failed' && <p className="empty">{t('failed')}</p>}
      {history.state === 'there' && (series === undefined || values.length === 0) && (
        <p className="empty">{t('history.none')}</p>
      )}
      {series !== undefined && values.length > 0 && (
        <>
          <Suspense fallback={<div className="chart" />}>
            <PublicChart series={series} label={label} />
          </Suspense>
          <p>
            {t('history.lowest', {
              low: number(Math.min(...values)),
              high: number(Math.max(...values)),
              last: number(values.at(-1)!),
              unit: series.unit,
            })}
          </p>
          <a href={`${address}&format=csv`} download={`${chosen.device}-${chosen.metric}.csv`}>
            {t('download.history')}
          </a>
        </>
      )}
    </section>
  );
}
