import { Button, Select, Textarea, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useCity } from '../api/queries.ts';
import type { City, FormatTrial } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Listing } from '../parts/Listing.tsx';
import { Scroll } from '../parts/words.tsx';
import { refusalOf, useMay } from '../session.ts';

/** Formats that need no description (docs/formats.md); `{device}` is an id. */
const BUILT_IN: City['formats'] = [
  { id: 'readings', topics: ['devices/{device}/readings'], content: 'json' },
  { id: 'senml', topics: ['devices/{device}/senml'], content: 'json' },
  { id: 'senml-cbor', topics: ['devices/{device}/senml-cbor'], content: 'cbor' },
  { id: 'sensor-community', topics: ['devices/{device}/sensor-community'], content: 'json' },
  { id: 'chirpstack', topics: ['application/{application}/device/{device}/event/up'], content: 'json' },
  { id: 'things-stack', topics: ['v3/{application}/devices/{device}/up'], content: 'json' },
];

/** What devices may speak, and what a message becomes, path by path. */
export function Formats() {
  const { t } = useWords();
  const city = useCity();
  const may = useMay('rules.try');
  const [topic, setTopic] = useState('devices/device/readings');
  const formats = [...(city.data?.formats ?? []), ...BUILT_IN];
  return (
    <>
      <h1>{t('nav.formats')}</h1>
      {may && <Trial topic={topic} setTopic={setTopic} />}
      <Listing
        label={t('nav.formats')}
        items={formats}
        keyOf={({ id }) => id}
        none={t('loading')}
        columns={[
          { head: t('format'), cell: ({ id }) => id },
          { head: t('format.topic'), cell: ({ topics }) => <span className="mono">{topics.join(', ')}</span> },
          { head: t('format.content'), cell: ({ content }) => content },
          { head: t('format.from'), cell: (one) => t(BUILT_IN.includes(one) ? 'format.built-in' : 'format.declared') },
          {
            head: '',
            cell: (one) =>
              may && (
                <Button
                  variant="default"
                  size="compact-xs"
                  onClick={() => setTopic(one.topics[0]!.replace('{device}', 'device'))}
                >
                  {t('format.use')}
                </Button>
              ),
          },
        ]}
      />
    </>
  );
}

const SAMPLE = '{"metrics": {"temperature": 21.5, "battery": 90}}';

interface TrialProps {
  readonly topic: string;
  readonly setTopic: (topic: string) => void;
}

/** A message that is not sent: what would become of it. */
function Trial({ topic, setTopic }: TrialProps) {
  const { t, language } = useWords();
  const city = useCity();
  const [device, setDevice] = useState('');
  const [profile, setProfile] = useState<string | null>(null);
  const [payload, setPayload] = useState(SAMPLE);
  const [encoding, setEncoding] = useState('text');
  const trial = useMutation({
    mutationFn: () => {
      const body = {
        topic,
        payload: encoding === 'text' ? payload : '',
        ...(device === '' ? {} : { device }),
        ...(profile === null ? {} : { profile }),
        ...(encoding === 'text' ? {} : { base64: payload.trim() }),
      };
      return bodyOf(api.POST('/api/v1/formats/try', { body }));
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    trial.mutate();
  }
  return (
    <form className="panel stack" onSubmit={submit} aria-label={t('format.try')}>
      <h2>{t('format.try')}</h2>
      <div className="bar fields">
        <TextInput
          label={t('format.topic')}
          required
          value={topic}
          onChange={(event) => setTopic(event.currentTarget.value)}
        />
        <TextInput
          label={t('column.device')}
          description={t('format.device-about')}
          value={device}
          onChange={(event) => setDevice(event.currentTarget.value)}
        />
        <Select
          label={t('column.profile')}
          description={t('format.profile-about')}
          clearable
          clearButtonProps={{ 'aria-label': t('clear') }}
          searchable
          data={(city.data?.profiles ?? []).map(({ id, title }) => ({ value: id, label: title[language] }))}
          value={profile}
          onChange={setProfile}
        />
        <Select
          label={t('format.encoding')}
          allowDeselect={false}
          data={[
            { value: 'text', label: t('format.text') },
            { value: 'base64', label: 'Base64' },
          ]}
          value={encoding}
          onChange={(chosen) => setEncoding(chosen ?? encoding)}
        />
      </div>
      <Textarea
        label={t('format.message')}
        required
        rows={6}
        className="mono"
        value={payload}
        onChange={(event) => setPayload(event.currentTarget.value)}
      />
      <Button type="submit" loading={trial.isPending} w="max-content">
        {t('trial.run')}
      </Button>
      {trial.isError && (
        <p role="alert" className="late">
          {refusalOf(trial.error)}
        </p>
      )}
      {trial.data !== undefined && <Result trial={trial.data} />}
    </form>
  );
}

/** Each value by its path: the field that was found, and the metric that it becomes. */
function Result({ trial: { format, device, readings, refused, more } }: { readonly trial: FormatTrial }) {
  const { t, term, time, number } = useWords();
  return (
    <div className="stack" id="format-result">
      <p>{t('format.found', { format: format ?? '–', device })}</p>
      {readings.length > 0 && (
        <Scroll label={t('readings')}>
          <table className="list">
            <thead>
              <tr>
                <th>{t('format.path')}</th>
                <th>{t('format.sent')}</th>
                <th>{t('format.becomes')}</th>
                <th>{t('column.device')}</th>
                <th>{t('audit.when')}</th>
              </tr>
            </thead>
            <tbody>
              {readings.flatMap(({ ts, device: of, values }) =>
                values.map(({ path, found, unit, metric, value }) => (
                  <tr key={`${of} ${path} ${ts}`}>
                    <td className="mono">{path}</td>
                    <td className="mono">{`${found}${unit === null ? '' : ` ${unit}`}`}</td>
                    <td>
                      {metric === null ? (
                        <span className="dim">{t('format.nothing')}</span>
                      ) : (
                        `${metric} = ${number(value ?? 0)}`
                      )}
                    </td>
                    <td>{of}</td>
                    <td className="nowrap">{ts === null ? '–' : time(ts)}</td>
                  </tr>
                )),
              )}
            </tbody>
          </table>
        </Scroll>
      )}
      {refused.map(({ reason, path, detail }) => (
        <p key={`${path} ${detail}`}>
          <span className="late">{term('fault', reason)}</span> <span className="mono">{path}</span> {detail}
        </p>
      ))}
      {more && <p className="dim">{t('format.more')}</p>}
    </div>
  );
}
