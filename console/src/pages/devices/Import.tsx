import { Button, Modal } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { api, bodyOf, ProblemError } from '../../api/client.ts';
import type { NewDevice } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { refusalOf } from '../../session.ts';
import { devicesIn, FileMistake, type ImportedDevice, secretsCsv } from './deviceFile.ts';

/** Devices of one request. The server registers all of them or none. */
const BATCH = 100;
/** Refusals that are shown. */
const SHOWN = 100;

interface Progress {
  readonly done: number;
  readonly made: readonly NewDevice[];
  readonly refused: readonly { readonly id: string; readonly why: string }[];
  /** Why it ended before the last device; empty: it did not. */
  readonly stopped: string;
}

const NOTHING: Progress = { done: 0, made: [], refused: [], stopped: '' };

/** Registers the devices of a file, batch by batch, and gives their secrets as a file: they are shown once. */
export function Import({ close }: { readonly close: () => void }) {
  const { t, number } = useWords();
  const [devices, setDevices] = useState<readonly ImportedDevice[] | null>(null);
  const [mistake, setMistake] = useState('');
  const { progress, busy, run, cancel } = useImport();
  async function read(file: File | null) {
    setMistake('');
    setDevices(null);
    if (file === null) return;
    try {
      setDevices(devicesIn(file.name, await file.text()));
    } catch (error) {
      setMistake(error instanceof FileMistake ? t(error.key, error.values) : t('failed'));
    }
  }
  const { done, made, refused, stopped } = progress;
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
                {stopped}
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
              {made.length > 0 && !busy && <Secrets made={made} />}
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
/** What was refused for what it says: not for who asks, how often, or because the server is not there. */
const isRefusal = (error: unknown) =>
  error instanceof ProblemError && error.status >= 400 && error.status < 500 && error.status !== 401;

/**
 * Registers batch by batch until it is cancelled or the server cannot be asked; where a batch is refused, each device of
 * it by itself.
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
  async function register(body: ImportedDevice[]): Promise<NewDevice[]> {
    for (;;) {
      try {
        return [await bodyOf(api.POST('/api/v1/devices', { body }))].flat() as NewDevice[];
      } catch (error) {
        // As many requests as one may send in a while: the next one waits.
        if (cancelled.current || !(error instanceof ProblemError) || error.status !== 429) throw error;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
  const add = (count: number, made: readonly NewDevice[], refused: Progress['refused']) =>
    setProgress((before) => ({
      ...before,
      done: before.done + count,
      made: [...before.made, ...made],
      refused: [...before.refused, ...refused],
    }));
  async function run(devices: readonly ImportedDevice[]) {
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
  async function registerAll(batch: ImportedDevice[]) {
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
        add(1, [], [{ id: one.id, why: refusalOf(error) }]);
      }
    }
  }
  const cancel = () => {
    cancelled.current = true;
  };
  return { progress, busy, run, cancel };
}

function Secrets({ made }: { readonly made: readonly NewDevice[] }) {
  const { t } = useWords();
  const link = `data:text/csv;charset=utf-8,${encodeURIComponent(secretsCsv(made))}`;
  return (
    <a className="pill" href={link} download="secrets.csv">
      {t('import.secrets')}
    </a>
  );
}
