import { Button, SegmentedControl } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { Backtest as Report } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Chart, type Drawn } from '../../parts/Chart.tsx';
import { Scroll, Severity } from '../../parts/words.tsx';
import { refusalOf } from '../../session.ts';

const DAY_MS = 86_400_000;
/** Bars of the chart. */
const PARTS = 48;
const SHOWN = 100;

/** What the rule, as it is written now, would have done, beside the one that is in force. */
export function Backtest({ text }: { readonly text: string }) {
  const { t } = useWords();
  const [days, setDays] = useState('7');
  const running = useRef<AbortController | null>(null);
  const test = useMutation({
    mutationFn: () => {
      running.current = new AbortController();
      const from = String(Date.now() - Number(days) * DAY_MS);
      return bodyOf(api.POST('/api/v1/rules/backtest', { body: { rule: text, from }, signal: running.current.signal }));
    },
  });
  const isCancelled = (test.error as Error | null)?.name === 'AbortError';
  return (
    <section className="panel stack" aria-labelledby="backtest">
      <header>
        <h2 id="backtest">{t('backtest')}</h2>
        <SegmentedControl
          aria-label={t('range')}
          value={days}
          onChange={setDays}
          data={['1', '7', '30'].map((value) => ({ value, label: t('days', { n: value }) }))}
        />
        <Button variant="default" loading={test.isPending} onClick={() => test.mutate()}>
          {t('backtest.run')}
        </Button>
        {test.isPending && (
          <Button variant="subtle" onClick={() => running.current?.abort()}>
            {t('cancel')}
          </Button>
        )}
      </header>
      {test.error !== null && !isCancelled && (
        <p role="alert" className="late">
          {refusalOf(test.error)}
        </p>
      )}
      {test.data !== undefined && <Result report={test.data} />}
    </section>
  );
}

function Result({ report }: { readonly report: Report }) {
  const { t, number, duration, language, time } = useWords();
  const series = useMemo(() => {
    const written = countsOf(
      report,
      t('backtest.written'),
      report.incidents.map(({ firedAt }) => firedAt),
    );
    if (report.difference === null) return [written];
    return [written, countsOf(report, t('backtest.in-force'), inForceOf(report))];
  }, [report, t]);
  const { totals, difference, incidents } = report;
  return (
    <div className="stack" id="backtest-result">
      {report.fault !== null && <p className="late">{report.fault}</p>}
      <p>
        {t('backtest.totals', {
          incidents: number(totals.incidents),
          tickets: number(totals.tickets),
          devices: number(report.devices),
          readings: number(report.readings),
          span: duration(report.tookMs),
        })}
      </p>
      {difference !== null && <p>{t('backtest.difference', { ...difference.counts })}</p>}
      {series.some(({ points }) => points.some(([, count]) => count !== 0)) && (
        <Chart label={t('backtest.chart')} series={series} stepped />
      )}
      <Scroll label={t('backtest')}>
        <table className="list">
          <tbody>
            {incidents.slice(0, SHOWN).map(({ firedAt, resolvedAt, severity, group, ticket }) => (
              <tr key={`${group} ${firedAt}`}>
                <td>
                  <Severity of={severity} />
                </td>
                <td>{(language === 'zh' ? ticket?.titleZh : ticket?.title) ?? group}</td>
                <td className="nowrap">{time(firedAt)}</td>
                <td className="num">
                  {resolvedAt === null ? t('alert.firing') : duration(Date.parse(resolvedAt) - Date.parse(firedAt))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </div>
  );
}

/** When incidents of the rule in force began: those of this rule, with what differs. */
function inForceOf({ incidents, difference }: Report): readonly string[] {
  const changes = difference?.changes ?? [];
  const changed = new Map(changes.map((one) => [`${one.group} ${one.now?.firedAt}`, one]));
  const kept = incidents.flatMap(({ group, firedAt }) => {
    const change = changed.get(`${group} ${firedAt}`);
    if (change === undefined) return [firedAt];
    return change.inForce === null ? [] : [change.inForce.firedAt];
  });
  return [
    ...kept,
    ...changes.flatMap(({ now, inForce }) => (now === null && inForce !== null ? [inForce.firedAt] : [])),
  ];
}

/** Incidents that began in each part of the time. */
function countsOf({ from, to }: Report, name: string, times: readonly string[]): Drawn {
  const fromMs = Date.parse(from);
  const partMs = Math.max(1, (Date.parse(to) - fromMs) / PARTS);
  const counts = Array.from({ length: PARTS }, () => 0);
  for (const firedAt of times) {
    const part = Math.min(PARTS - 1, Math.max(0, Math.floor((Date.parse(firedAt) - fromMs) / partMs)));
    counts[part] = counts[part]! + 1;
  }
  const points = counts.map((count, i): [number, number] => [fromMs + i * partMs, count]);
  return { name, device: '', metric: '', unit: '', points };
}
