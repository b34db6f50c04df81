import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useNames } from '../../api/queries.ts';
import type { ShownSilence } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Failure, Scroll } from '../../parts/words.tsx';
import { wordsOf } from './words.ts';

const DAY_MS = 86_400_000;
const WEEKS = 4;

/** The Monday on which the week of a moment begins, at local midnight. */
function mondayOf(ms: number): number {
  const day = new Date(ms);
  day.setHours(0, 0, 0, 0);
  return day.setDate(day.getDate() - ((day.getDay() + 6) % 7));
}

/** The local midnight some days later: a day is not always 24 hours. */
function daysAfter(ms: number, days: number): number {
  const day = new Date(ms);
  return day.setDate(day.getDate() + days);
}

/** The silences of four weeks, as a calendar: when each holds alerts back, also those that recur. */
export function Weeks({ silences }: { readonly silences: readonly ShownSilence[] }) {
  const { t } = useWords();
  const [first, setFirst] = useState(() => mondayOf(Date.now()));
  const to = daysAfter(first, 7 * WEEKS);
  const { data, error, refetch } = useQuery({
    queryKey: ['silence-times', first],
    queryFn: () =>
      bodyOf(api.GET('/api/v1/silences/calendar', { params: { query: { from: String(first), to: String(to) } } })),
  });
  const times = new Map(data?.items.map(({ id, spans }) => [id, spans]));
  const shown = silences.filter(({ id }) => times.has(id));
  return (
    <section className="panel stack" aria-label={t('silences.weeks')} id="weeks">
      <div className="bar">
        <Button variant="default" onClick={() => setFirst(daysAfter(first, -7 * WEEKS))}>
          {t('silences.earlier')}
        </Button>
        <Button variant="default" onClick={() => setFirst(mondayOf(Date.now()))}>
          {t('silences.today')}
        </Button>
        <Button variant="default" onClick={() => setFirst(to)}>
          {t('silences.later')}
        </Button>
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data !== undefined && shown.length === 0 && <p className="empty">{t('silences.quiet')}</p>}
      <Scroll label={t('silences.weeks')}>
        {Array.from({ length: WEEKS }, (_, week) => daysAfter(first, 7 * week)).map((monday) => (
          <Week key={monday} monday={monday} silences={shown} times={times} />
        ))}
      </Scroll>
    </section>
  );
}

type Spans = readonly { readonly from: string; readonly to: string }[];

interface WeekProps {
  readonly monday: number;
  readonly silences: readonly ShownSilence[];
  readonly times: ReadonlyMap<string, Spans>;
}

/** A week: its days, and a line for each silence that is on in it. */
function Week({ monday, silences, times }: WeekProps) {
  const words = useWords();
  const name = useNames();
  const { time, date } = words;
  const days = Array.from({ length: 7 }, (_, i) => daysAfter(monday, i));
  const end = daysAfter(monday, 7);
  const lines = silences.flatMap((silence) => {
    const spans = (times.get(silence.id) ?? []).filter(
      ({ from, to }) => Date.parse(from) < end && Date.parse(to) > monday,
    );
    return spans.length === 0 ? [] : [{ silence, spans }];
  });
  const place = (ms: number) => (100 * (Math.min(end, Math.max(monday, ms)) - monday)) / (end - monday);
  const today = Date.now();
  return (
    <div className="week">
      <div className="days">
        {days.map((day) => (
          <span key={day} data-today={(day <= today && today < day + DAY_MS) || undefined}>
            {date(day)}
          </span>
        ))}
      </div>
      {lines.map(({ silence, spans }) => (
        <div key={silence.id} className="silence" data-silence={silence.id}>
          {spans.map(({ from, to }) => {
            const left = place(Date.parse(from));
            return (
              <span
                key={from}
                className="on"
                data-state={silence.state}
                title={`${time(from)} – ${time(to)}`}
                style={{ left: `${left}%`, width: `${Math.max(0.4, place(Date.parse(to)) - left)}%` }}
              />
            );
          })}
          <span className="what">{`${wordsOf(silence.matchers, words, name)}: ${silence.comment}`}</span>
        </div>
      ))}
    </div>
  );
}
