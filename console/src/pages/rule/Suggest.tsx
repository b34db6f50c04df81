import { Button, SegmentedControl, Select } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity, useNames } from '../../api/queries.ts';
import type { Suggestions } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small } from '../../parts/acting.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { refusalOf } from '../../session.ts';

const DAY_MS = 86_400_000;

interface Props {
  /** Puts a condition, in YAML, into the rule. */
  readonly use: (when: string) => void;
}

/** Tries limits for a metric on what is stored, from quiet to noisy; one of them is put into the rule. */
export function Suggest({ use }: Props) {
  const { t, language, number } = useWords();
  const city = useCity();
  const name = useNames();
  const [profile, setProfile] = useState<string | null>(null);
  const [metric, setMetric] = useState<string | null>(null);
  const [days, setDays] = useState('30');
  const running = useRef<AbortController | null>(null);
  const ask = useMutation({
    mutationFn: () => {
      running.current = new AbortController();
      const from = String(Date.now() - Number(days) * DAY_MS);
      const body = { profile: profile ?? '', metric: metric ?? '', from };
      return bodyOf(api.POST('/api/v1/rules/suggest', { body, signal: running.current.signal }));
    },
  });
  const profiles = city.data?.profiles ?? [];
  const metrics = profiles.find(({ id }) => id === profile)?.metrics ?? [];
  const isCancelled = (ask.error as Error | null)?.name === 'AbortError';
  return (
    <section className="panel stack" aria-labelledby="suggest">
      <h2 id="suggest">{t('suggest')}</h2>
      <div className="bar fields">
        <Select
          label={t('column.profile')}
          searchable
          data={profiles.map(({ id, title }) => ({ value: id, label: title[language] }))}
          value={profile}
          onChange={(chosen) => {
            setProfile(chosen);
            setMetric(null);
          }}
        />
        <Select
          label={t('metric')}
          searchable
          data={metrics.map((id) => ({ value: id, label: name('metrics', id) }))}
          value={metric}
          onChange={setMetric}
        />
        <SegmentedControl
          aria-label={t('range')}
          value={days}
          onChange={setDays}
          data={['7', '30', '90'].map((value) => ({ value, label: t('days', { n: value }) }))}
        />
        <Button
          variant="default"
          disabled={profile === null || metric === null}
          loading={ask.isPending}
          onClick={() => ask.mutate()}
        >
          {t('suggest.run')}
        </Button>
        {ask.isPending && (
          <Button variant="subtle" onClick={() => running.current?.abort()}>
            {t('cancel')}
          </Button>
        )}
      </div>
      {ask.error !== null && !isCancelled && (
        <p role="alert" className="late">
          {refusalOf(ask.error)}
        </p>
      )}
      {ask.data !== undefined && (
        <div className="stack" id="suggestions">
          <p>
            {t('suggest.of', {
              devices: number(ask.data.devices),
              readings: number(ask.data.readings),
              incidents: number(ask.data.incidents),
            })}
          </p>
          <Settings of={ask.data.settings} use={use} />
        </div>
      )}
    </section>
  );
}

function Settings({ of, use }: Props & { readonly of: Suggestions['settings'] }) {
  const { t, term, number } = useWords();
  return (
    <Listing
      label={t('suggest')}
      items={of}
      keyOf={({ when }) => when}
      none={t('suggest.none')}
      columns={[
        { head: t('rule.condition'), cell: ({ when }) => <code className="mono">{when}</code> },
        { head: t('suggest.kind'), cell: ({ kind }) => term('kind', kind) },
        { head: t('suggest.per-week'), num: true, cell: ({ perWeek }) => number(perWeek) },
        { head: t('suggest.right'), num: true, cell: ({ score }) => `${score.right} / ${score.alerts}` },
        { head: t('suggest.found'), num: true, cell: ({ score }) => `${score.found} / ${score.incidents}` },
        { head: '', cell: ({ when }) => <Small label={t('rule.use')} onClick={() => use(when)} /> },
      ]}
    />
  );
}
