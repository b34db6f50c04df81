import { Button, SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useNames } from '../api/queries.ts';
import type { ShownSilence } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Failure, Scroll } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { useEndSilence } from './silences/end.ts';
import { NewSilence } from './silences/NewSilence.tsx';
import { Weeks } from './silences/Weeks.tsx';
import { wordsOf } from './silences/words.ts';

/** What a new silence begins with, where a ticket or a device leads here. */
export interface SilenceStart {
  readonly rule?: string | undefined;
  readonly device?: string | undefined;
  readonly district?: string | undefined;
}

export function silenceStartIn(search: Readonly<Record<string, unknown>>): SilenceStart {
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  return { rule: text(search.rule), device: text(search.device), district: text(search.district) };
}

/** Silences and maintenance windows. */
export function Silences() {
  const { t } = useWords();
  const start = silenceStartIn(useSearch({ strict: false }));
  const navigate = useNavigate({ from: '/silences' });
  const may = useMay('silences.write');
  const [ended, setEnded] = useState('false');
  const [making, setMaking] = useState(false);
  const isOpen = making || Object.values(start).some((value) => value !== undefined);
  const { data, error, refetch } = useQuery({
    queryKey: ['silences', ended],
    queryFn: () =>
      bodyOf(api.GET('/api/v1/silences', { params: { query: { ended: String(ended !== 'false'), limit: 1000 } } })),
  });
  function close() {
    setMaking(false);
    void navigate({ search: {}, replace: true });
  }
  return (
    <>
      <div className="bar">
        <h1>{t('nav.silences')}</h1>
        <SegmentedControl
          aria-label={t('column.state')}
          value={ended}
          onChange={setEnded}
          data={[
            { value: 'false', label: t('silences.current') },
            { value: 'true', label: t('tickets.all') },
            { value: 'weeks', label: t('silences.weeks') },
          ]}
        />
        <span className="push" />
        {may && <Button onClick={() => setMaking(true)}>{t('silence.new')}</Button>}
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data?.items.length === 0 && ended !== 'weeks' && <p className="panel empty">{t('silences.none')}</p>}
      {data !== undefined && ended === 'weeks' && <Weeks silences={data.items} />}
      {data !== undefined && data.items.length > 0 && ended !== 'weeks' && (
        <div className="panel">
          <Scroll label={t('nav.silences')}>
            <SilenceTable silences={data.items} />
          </Scroll>
        </div>
      )}
      {may && isOpen && <NewSilence start={start} close={close} />}
    </>
  );
}

function SilenceTable({ silences }: { readonly silences: readonly ShownSilence[] }) {
  const words = useWords();
  const { t, time } = words;
  const name = useNames();
  const may = useMay('silences.write');
  const end = useEndSilence();
  return (
    <table className="list" aria-label={t('nav.silences')}>
      <thead>
        <tr>
          <th>{t('column.state')}</th>
          <th>{t('silence.what')}</th>
          <th>{t('silence.comment')}</th>
          <th>{t('silence.from')}</th>
          <th>{t('silence.until')}</th>
          <th>{t('silence.by')}</th>
          <th>
            <span className="visually-hidden">{t('actions')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {silences.map((silence) => (
          <tr key={silence.id}>
            <td>
              <span className="pill">{t(`silence.${silence.state}`)}</span>
            </td>
            <td>{wordsOf(silence.matchers, words, name)}</td>
            <td>{silence.comment}</td>
            <td className="nowrap">{time(silence.startsAt)}</td>
            <td className="nowrap">
              {time(silence.endsAt)}
              {silence.calendar !== null && <span className="pill">{name('calendars', silence.calendar)}</span>}
            </td>
            <td>{silence.author}</td>
            <td className="num">
              {may && silence.state !== 'expired' && (
                <Button variant="default" size="compact-xs" onClick={() => end(silence)}>
                  {t('silence.end')}
                </Button>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
