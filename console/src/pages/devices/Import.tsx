import { Button, Modal } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { DeviceFileMistake, type DeviceOfFile, devicesInFile, withSecrets } from '../../../../domain/device-file.ts';
import { api, bodyOf, ProblemError } from '../../api/client.ts';
import type { NewDevice, paths } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { refusalOf } from '../../session.ts';
import { mistakeIn, newSecret, secretsCsv } from './deviceFile.ts';

/** Devices of one request. The server registers all of them or none. */
const BATCH = 100;
/** Refusals that are shown. */
const SHOWN = 100;

type Made = Pick<NewDevice, 'id' | 'secret'>;
type Body = paths['/api/v1/devices']['post']['requestBody']['content']['application/json'];

interface Progress {
  readonly done: number;
  readonly made: readonly Made[];
  /** Those of which the response was lost: whether they are registered is not known. */
  readonly unknown: readonly Made[];
  readonly refused: readonly { readonly id: string; readonly why: string }[];
  /** Why it ended before the last device; empty: it did not. */
  readonly stopped: string;
}

const NOTHING: Progress = { done: 0, made: [], unknown: [], refused: [], stopped: '' };

/**
 * Registers the devices of a file, batch by batch, and gives their secrets as a file: they are shown once. They are
 * drawn here, so that none is lost with a response.
 */
export function Import({ close }: { readonly close: () => void }) {
  const words = useWords();
  const { t, number } = words;
  const [devices, setDevices] = useState<readonly DeviceOfFile[] | null>(null);
  const [mistake, setMistake] = useState('');
  const { progress, busy, run, cancel } = useImport();
  async function read(file: File | null) {
    setMistake('');
    setDevices(null);
    if (file === null) return;
    try {
      setDevices(withSecrets(devicesInFile(file.name, await file.text()), newSecret));
    } catch (error) {
      setMistake(error instanceof DeviceFileMistake ? mistakeIn(error, words) : t('failed'));
    }
  }
  const { done, made, unknown, refused, stopped } = progress;
  const isDone = devices !== null && !busy && done > 0;
  return (
    // The secrets are here only: nothing closes it by accident, and nothing goes on without it.
    <Modal
      opened
      onClose={() => (busy ? cancel() : close())}
      closeOnClickOutside={false}
      closeOnEscape={false}
      title={t('import')}
      closeButtonProps={{ 'aria-label': t('close') }}
      size="lg"
    >
      <div className="stack">
        <p className="dim">{t('import.about')}</p>
        <label className="stack">
          {t('import.file')}
          <input
            type="file"
            accept=".csv,.json,text/csv,application/json"
            disabled={busy}
            onChange={(event) => void read(event.currentTarget.files?.[0] ?? null)}
          />
        </label>
        {mistake !== '' && (
          <p role="alert" className="late">
            {mistake}
          </p>
        )}
        {devices !== null && (
          <>
            <progress max={devices.length} value={done} aria-label={t('import')} />
            <p aria-live="polite" id="import-progress">
              {t('import.progress', {
                done: number(done),
                all: number(devices.length),
                made: number(made.length),
                refused: number(refused.length),
              })}
            </p>
            {stopped !== '' && (
              <p role="alert" className="late">
                {stopped} {unknown.length > 0 && t('import.unknown', { n: number(unknown.length) })}
              </p>
            )}
            <div className="bar">
              {!isDone && (
                <Button loading={busy} onClick={() => void run(devices)}>
                  {t('import.run', { n: number(devices.length) })}
                </Button>
              )}
              {busy && (
                <Button variant="subtle" onClick={cancel}>
                  {t('cancel')}
                </Button>
              )}
              {made.length + unknown.length > 0 && !busy && <Secrets made={[...made, ...unknown]} />}
            </div>
          </>
        )}
        <ul className="results">
          {refused.slice(0, SHOWN).map(({ id, why }) => (
            <li key={id} className="late">{`${id}: ${why}`}</li>
          ))}
        </ul>
      </div>
    </Modal>
  );
}

const AGAIN_MS = 1_000;
/** A request whose response is lost is sent so often. */
const TIMES = 3;
const madeOf = ({ id = '', secret = '' }: DeviceOfFile): Made => ({ id, secret });
/** What was refused for what it says: not for who asks, how often, or because the server is not there. */
const isRefusal = (error: unknown) =>
  error instanceof ProblemError && error.status >= 400 && error.status < 500 && error.status !== 401;

/**
 * Registers batch by batch until it is cancelled or the server cannot be asked; where a batch is refused, each device
 * of it by itself.
 */
function useImport() {
  const client = useQueryClient();
  const [progress, setProgress] = useState(NOTHING);
  const [busy, setBusy] = useState(false);
  const cancelled = useRef(false);
  useEffect(
    () => () => {
      cancelled.current = true;
    },
    [],
  );
  /** Sends the same request again where its response was lost: the server does it once. */
  async function register(devices: readonly DeviceOfFile[]): Promise<Made[]> {
    const params = { header: { 'Idempotency-Key': newSecret() } };
    const body = devices as unknown as Body;
    for (let lost = 0; ; ) {
      try {
        await bodyOf(api.POST('/api/v1/devices', { params, body }));
        return devices.map(madeOf);
      } catch (error) {
        const isLost = !(error instanceof ProblemError);
        // As many requests as one may send in a while: the next one waits.
        const mayAgain = isLost ? ++lost < TIMES : error.status === 429;
        if (cancelled.current || !mayAgain) {
          if (isLost || error.status >= 500) setProgress((before) => ({ ...before, unknown: devices.map(madeOf) }));
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
  const add = (count: number, made: readonly Made[], refused: Progress['refused']) =>
    setProgress((before) => ({
      ...before,
      done: before.done + count,
      made: [...before.made, ...made],
      refused: [...before.refused, ...refused],
    }));
  async function run(devices: readonly DeviceOfFile[]) {
    cancelled.current = false;
    setProgress(NOTHING);
    setBusy(true);
    try {
      for (let at = 0; at < devices.length && !cancelled.current; at += BATCH) {
        await registerAll(devices.slice(at, at + BATCH));
      }
    } catch (error) {
      setProgress((before) => ({ ...before, stopped: refusalOf(error) }));
    }
    setBusy(false);
    await client.invalidateQueries({ queryKey: ['devices'] });
  }
  async function registerAll(batch: readonly DeviceOfFile[]) {
    try {
      return add(batch.length, await register(batch), []);
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
    for (const one of batch) {
      if (cancelled.current) return;
      try {
        add(1, await register([one]), []);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        add(1, [], [{ id: one.id ?? '', why: refusalOf(error) }]);
      }
    }
  }
  const cancel = () => {
    cancelled.current = true;
  };
  return { progress, busy, run, cancel };
}

function Secrets({ made }: { readonly made: readonly Made[] }) {
  const { t } = useWords();
  const link = `data:text/csv;charset=utf-8,${encodeURIComponent(secretsCsv(made))}`;
  return (
    <a className="pill" href={link} download="secrets.csv">
      {t('import.secrets')}
    </a>
  );
}
