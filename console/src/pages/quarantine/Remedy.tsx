import { Button, CopyButton, Select } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { FormatTrial, QuarantinedInFull } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small, useAct } from '../../parts/acting.tsx';
import { Reload } from '../../parts/Reload.tsx';
import { toast } from '../../parts/toasts.tsx';
import { refusalOf, useMay } from '../../session.ts';
import { Register } from '../devices/Register.tsx';
import { linesFor } from './lines.ts';
import { Replay } from './Replay.tsx';

interface Props {
  readonly entry: QuarantinedInFull;
}

/**
 * What would make a refusal right: in a sentence, as lines for the city folder, and as what can be done here. The
 * message itself is tried again, and then all that was refused of the device for this reason is replayed.
 */
export function Remedy({ entry }: Props) {
  const { t } = useWords();
  const { reason, device } = entry;
  const mayDevices = useMay('devices.read');
  const of = useQuery({
    queryKey: ['device', device],
    enabled: mayDevices,
    retry: false,
    queryFn: () => bodyOf(api.GET('/api/v1/devices/{id}', { params: { path: { id: device } } })),
  });
  const lines = linesFor(entry, of.data?.profile);
  const mayCity = useMay('city.write');
  return (
    <section className="stack" aria-labelledby="remedy">
      <h2 id="remedy">{t('remedy')}</h2>
      <p>{t(`remedy.${reason}`)}</p>
      {lines !== null && (
        <>
          <p className="dim">{t('remedy.file', { file: lines.file })}</p>
          <div className="bar">
            <pre className="code">{lines.text}</pre>
            <CopyButton value={lines.text}>
              {({ copied, copy }) => <Small label={t(copied ? 'copied' : 'copy')} onClick={copy} />}
            </CopyButton>
          </div>
        </>
      )}
      <div className="bar">
        <DeviceFix entry={entry} />
        {lines !== null && mayCity && <Reload />}
      </div>
      <Trial entry={entry} />
      <div className="bar">
        <Replay label={t('quarantine.replay-all', { device })} body={{ device, reason }} />
      </div>
    </section>
  );
}

/** What is done to the device or the key that sent it. */
function DeviceFix({ entry: { reason, device, detail } }: Props) {
  const { t } = useWords();
  const may = useMay('devices.write');
  const mayKeys = useMay('keys.read');
  const act = useAct('device', 'devices');
  const [registering, setRegistering] = useState(false);
  const named = /device "([^"]+)"/.exec(detail)?.[1] ?? device;
  if (reason === 'not-your-device' && mayKeys) return <Link to="/keys">{t('nav.keys')}</Link>;
  if (!may) return null;
  if (reason === 'unknown-device') {
    return (
      <>
        <Small label={t('device.register')} onClick={() => setRegistering(true)} />
        {registering && <Register id={named} close={() => setRegistering(false)} />}
      </>
    );
  }
  const resume = async () => {
    await bodyOf(api.POST('/api/v1/devices/{id}/resume', { params: { path: { id: device } } }));
    toast(t('done'));
  };
  if (reason === 'device-suspended') return <Small label={t('device.resume')} onClick={() => act.mutate(resume)} />;
  return (
    <Link to="/devices/$id" params={{ id: device }}>
      {t('remedy.device', { id: device })}
    </Link>
  );
}

/** Tries the message as it was sent, as the city and the device are now, or as another kind of device. */
function Trial({ entry: { topic, raw, device } }: Props) {
  const { t, language } = useWords();
  const city = useCity();
  const may = useMay('rules.try');
  const mayChange = useMay('devices.write');
  const act = useAct('device', 'devices');
  const [profile, setProfile] = useState<string | null>(null);
  const trial = useMutation({
    mutationFn: () => {
      const body = { topic, payload: '', base64: raw, device, ...(profile === null ? {} : { profile }) };
      return bodyOf(api.POST('/api/v1/formats/try', { body }));
    },
  });
  if (!may) return null;
  const change = async () => {
    await bodyOf(api.PATCH('/api/v1/devices/{id}', { params: { path: { id: device } }, body: { profile: profile! } }));
    toast(t('done'));
  };
  return (
    <div className="stack">
      <div className="bar fields">
        <Select
          label={t('remedy.as')}
          placeholder={t('remedy.as-now')}
          clearable
          clearButtonProps={{ 'aria-label': t('clear') }}
          searchable
          data={(city.data?.profiles ?? []).map(({ id, title }) => ({ value: id, label: title[language] }))}
          value={profile}
          onChange={(chosen) => {
            setProfile(chosen);
            trial.reset();
          }}
        />
        <Button variant="default" loading={trial.isPending} onClick={() => trial.mutate()}>
          {t('remedy.try')}
        </Button>
        {profile !== null && trial.data !== undefined && mayChange && (
          <Small label={t('remedy.make-kind')} onClick={() => act.mutate(change)} />
        )}
      </div>
      {trial.error !== null && (
        <p role="alert" className="late">
          {refusalOf(trial.error)}
        </p>
      )}
      {trial.data !== undefined && <Tried trial={trial.data} />}
    </div>
  );
}

function Tried({ trial: { readings, refused } }: { readonly trial: FormatTrial }) {
  const { t, term, number } = useWords();
  const values = readings.flatMap((one) => one.values.filter(({ metric }) => metric !== null));
  return (
    <div id="tried" role="status">
      <p className={refused.length === 0 && values.length > 0 ? 'good' : 'late'}>
        {t('remedy.tried', { good: values.length, bad: refused.length })}
      </p>
      <p>{values.map(({ metric, value }) => `${metric} = ${number(value ?? 0)}`).join(', ')}</p>
      {refused.map(({ reason, path, detail }) => (
        <p key={`${path} ${detail}`}>{`${term('fault', reason)} ${path}: ${detail}`}</p>
      ))}
    </div>
  );
}
