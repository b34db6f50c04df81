import { Button, Select, Textarea, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity, useNames } from '../../api/queries.ts';
import type { Calibration, Device } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small, Sure, useAct } from '../../parts/acting.tsx';
import { FormDialog } from '../../parts/Form.tsx';
import { useMay } from '../../session.ts';

interface Props {
  readonly device: Device;
}

/** How values of a device are corrected; a correction is added and removed here, and what is stored corrected anew. */
export function Calibrations({ device }: Props) {
  const { t, time, number } = useWords();
  const name = useNames();
  const may = useMay('devices.write');
  const mayImport = useMay('readings.import');
  const act = useAct('device');
  const [open, setOpen] = useState<'new' | 'anew' | null>(null);
  const { id, calibrations = [] } = device;
  const remove = (calibration: string) => () =>
    bodyOf(api.DELETE('/api/v1/devices/{id}/calibrations/{calibration}', { params: { path: { id, calibration } } }));
  const howOf = ({ points, gain, offset }: Calibration) =>
    points === null
      ? `× ${number(gain)} + ${number(offset)}`
      : points.map((pair) => pair.map(number).join(' → ')).join(', ');
  if (calibrations.length === 0 && !may) return null;
  return (
    <section className="panel stack" aria-labelledby="calibrations">
      <header className="bar">
        <h2 id="calibrations">{t('calibrations')}</h2>
        <span className="push" />
        {may && <Small label={t('calibration.new')} onClick={() => setOpen('new')} />}
        {mayImport && calibrations.length > 0 && (
          <Small label={t('calibration.anew')} onClick={() => setOpen('anew')} />
        )}
      </header>
      {calibrations.length === 0 && <p className="dim">{t('calibrations.none')}</p>}
      {calibrations.map((one) => (
        <div key={one.id} className="bar" data-calibration={one.id}>
          <b>{name('metrics', one.metric)}</b>
          <span>{howOf(one)}</span>
          <span className="dim">
            {[`${time(one.from)} – ${one.until === null ? '' : time(one.until)}`, one.by, one.certificate, one.note]
              .filter((part) => part)
              .join(', ')}
          </span>
          <span className="push" />
          {may && (
            <Sure
              label={t('calibration.remove')}
              question={t('calibration.remove-sure')}
              run={() => act.mutate(remove(one.id))}
            />
          )}
        </div>
      ))}
      {open === 'new' && <NewCalibration device={device} close={() => setOpen(null)} />}
      {open === 'anew' && <Anew device={device} close={() => setOpen(null)} />}
    </section>
  );
}

interface FormProps extends Props {
  readonly close: () => void;
}

/** The metrics of the kind of a device. */
function useMetrics({ profile }: Device) {
  const city = useCity();
  const name = useNames();
  const metrics = city.data?.profiles.find(({ id }) => id === profile)?.metrics ?? [];
  return metrics.map((value) => ({ value, label: name('metrics', value) }));
}

const EMPTY = { gain: '', offset: '', points: '', from: '', until: '', certificate: '', note: '' };
type Field = keyof typeof EMPTY;

/** Pairs of numbers, one a line. */
const pairsIn = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) =>
      line
        .trim()
        .split(/[\s,;]+/)
        .map(Number),
    );

function NewCalibration({ device, close }: FormProps) {
  const { t } = useWords();
  const client = useQueryClient();
  const metrics = useMetrics(device);
  const [metric, setMetric] = useState<string | null>(null);
  const [fields, setFields] = useState(EMPTY);
  async function run() {
    const { gain, offset, points, from, until, certificate, note } = fields;
    const numbers = { gain, offset };
    const times = { from, until };
    const texts = { certificate, note };
    const given = <T,>(all: Readonly<Record<string, string>>, of: (text: string) => T) =>
      Object.fromEntries(Object.entries(all).flatMap(([key, text]) => (text.trim() === '' ? [] : [[key, of(text)]])));
    const body = {
      metric: metric ?? '',
      ...given(numbers, Number),
      ...given(times, (at) => new Date(at).toISOString()),
      ...given(texts, (text) => text.trim()),
      ...(points.trim() === '' ? {} : { points: pairsIn(points) }),
    };
    await bodyOf(api.POST('/api/v1/devices/{id}/calibrations', { params: { path: { id: device.id } }, body }));
    await client.invalidateQueries({ queryKey: ['device', device.id] });
    close();
  }
  const field = (key: Field) => ({
    value: fields[key],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setFields((before) => ({ ...before, [key]: value }));
    },
  });
  return (
    <FormDialog title={t('calibration.new')} submit={t('calibration.new')} close={close} run={run}>
      <p className="dim">{t('calibration.about')}</p>
      <Select label={t('metric')} required searchable data={metrics} value={metric} onChange={setMetric} />
      <TextInput type="number" step="any" label={t('calibration.gain')} {...field('gain')} />
      <TextInput type="number" step="any" label={t('calibration.offset')} {...field('offset')} />
      <Textarea
        label={t('calibration.points')}
        description={t('calibration.points.about')}
        autosize
        {...field('points')}
      />
      <TextInput type="datetime-local" label={t('calibration.from')} {...field('from')} />
      <TextInput type="datetime-local" label={t('calibration.until')} {...field('until')} />
      <TextInput label={t('calibration.certificate')} maxLength={500} {...field('certificate')} />
      <TextInput label={t('note')} maxLength={500} {...field('note')} />
    </FormDialog>
  );
}

/** Corrects what is stored as the calibrations are now, part by part, until it is done or cancelled. */
function Anew({ device, close }: FormProps) {
  const { t, number } = useWords();
  const metrics = useMetrics(device);
  const [metric, setMetric] = useState<string | null>(null);
  const [from, setFrom] = useState('');
  const [stored, setStored] = useState<number | null>(null);
  const [busy, setBusy] = useState(false);
  const cancelled = useRef(false);
  async function run() {
    cancelled.current = false;
    setBusy(true);
    let sum = 0;
    const to = new Date().toISOString();
    const path = { id: device.id };
    try {
      for (let next: string | null = new Date(from).toISOString(); next !== null && !cancelled.current; ) {
        const body: { metric: string; from: string; to: string } = { metric: metric ?? '', from: next, to };
        const part = await bodyOf(api.POST('/api/v1/devices/{id}/recompute', { params: { path }, body }));
        sum += part.stored;
        setStored(sum);
        next = part.next;
      }
    } finally {
      setBusy(false);
    }
  }
  return (
    <FormDialog title={t('calibration.anew')} submit={t('calibration.anew')} close={close} run={run}>
      <p className="dim">{t('calibration.anew.about')}</p>
      <Select label={t('metric')} required searchable data={metrics} value={metric} onChange={setMetric} />
      <TextInput
        type="datetime-local"
        required
        label={t('calibration.from')}
        value={from}
        onChange={(event) => setFrom(event.currentTarget.value)}
      />
      {stored !== null && (
        <p role="status" id="recomputed">
          {t('calibration.stored', { n: number(stored) })}
        </p>
      )}
      {busy && (
        <Button
          variant="subtle"
          onClick={() => {
            cancelled.current = true;
          }}
        >
          {t('cancel')}
        </Button>
      )}
    </FormDialog>
  );
}
