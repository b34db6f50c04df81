import { Button, Modal, TextInput } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { credentials, ProblemError, turnAway } from '../../api/client.ts';
import type { ImportReport, Problem } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { refusalOf } from '../../session.ts';
import { formatOf, type Piece, piecesOf } from './pieces.ts';

const BUSY_MS = 1_000;
const NOTHING: ImportReport = { rows: 0, stored: 0, refused: 0, repeated: 0, faults: [], more: 0 };

/** Imports a file of past readings piece by piece. The same file again changes nothing, so it can be cancelled. */
export function ImportReadings({ close }: { readonly close: () => void }) {
  const { t, number } = useWords();
  const [file, setFile] = useState<File | null>(null);
  const [device, setDevice] = useState('');
  const [rules, setRules] = useState(false);
  const [train, setTrain] = useState(false);
  const [report, setReport] = useState(NOTHING);
  const [sent, setSent] = useState(0);
  const [state, setState] = useState<'asking' | 'running' | 'done' | 'cancelled'>('asking');
  const [refused, setRefused] = useState('');
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const format = file === null ? null : formatOf(file.name);

  async function run(chosen: File, kind: NonNullable<typeof format>) {
    const controller = new AbortController();
    running.current = controller;
    const { signal } = controller;
    setState('running');
    setRefused('');
    setReport(NOTHING);
    try {
      for await (const piece of piecesOf(chosen, kind)) {
        const query = new URLSearchParams({ format: kind, file: chosen.name, line: String(piece.line) });
        if (device.trim() !== '') query.set('device', device.trim());
        if (rules) query.set('rules', 'true');
        if (train) query.set('train', 'true');
        const more = await send(query, piece, signal);
        setReport((before) => sumOf(before, more));
        setSent(piece.end);
      }
      setState('done');
    } catch (error) {
      setState(signal.aborted ? 'cancelled' : 'asking');
      if (!signal.aborted) setRefused(refusalOf(error));
    }
  }

  return (
    <Modal
      opened
      onClose={close}
      closeOnClickOutside={false}
      size="lg"
      title={t('readings.import')}
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      <div className="stack">
        <p className="dim">{t('readings.import.about')}</p>
        <label className="stack">
          {t('import.file')}
          <input
            type="file"
            accept=".csv,.parquet,.lp,.txt"
            disabled={state === 'running'}
            onChange={(event) => {
              setFile(event.currentTarget.files?.[0] ?? null);
              setState('asking');
            }}
          />
        </label>
        <TextInput
          label={t('column.device')}
          description={t('readings.import.device')}
          value={device}
          onChange={(event) => setDevice(event.currentTarget.value)}
        />
        <label>
          <input type="checkbox" checked={rules} onChange={(event) => setRules(event.currentTarget.checked)} />{' '}
          {t('readings.import.rules')}
        </label>
        <label>
          <input type="checkbox" checked={train} onChange={(event) => setTrain(event.currentTarget.checked)} />{' '}
          {t('readings.import.train')}
        </label>
        {file !== null && format === null && (
          <p role="alert" className="late">
            {t('readings.import.unknown')}
          </p>
        )}
        {refused !== '' && (
          <p role="alert" className="late">
            {refused}
          </p>
        )}
        {file !== null && state !== 'asking' && (
          <>
            <progress max={file.size} value={sent} aria-label={t('readings.import')} />
            <p aria-live="polite" id="readings-import">
              {t('readings.import.progress', {
                rows: number(report.rows),
                stored: number(report.stored),
                refused: number(report.refused),
                repeated: number(report.repeated),
              })}{' '}
              {state === 'done' && t('done')}
              {state === 'cancelled' && t('readings.import.cancelled')}
            </p>
            <ul className="results">
              {report.faults.map(({ reason, detail, count, lines }) => (
                <li key={`${reason} ${detail}`} className="late">
                  {t('readings.import.fault', { n: count, why: detail, lines: lines.join(', ') })}
                </li>
              ))}
            </ul>
          </>
        )}
        <div className="bar">
          <Button
            disabled={file === null || format === null}
            loading={state === 'running'}
            onClick={() => void run(file!, format!)}
          >
            {t('readings.import')}
          </Button>
          {state === 'running' && (
            <Button variant="subtle" onClick={() => running.current?.abort()}>
              {t('cancel')}
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}

/** Sends a piece; to a server that has others to serve again, until it is taken. Throws `ProblemError`. */
async function send(query: URLSearchParams, { body }: Piece, signal: AbortSignal): Promise<ImportReport> {
  for (;;) {
    const headers = credentials();
    const response = await fetch(`/api/v1/import?${query}`, { method: 'POST', headers, body, signal });
    const said: unknown = await response.json().catch(() => undefined);
    if (response.ok) return said as ImportReport;
    if (response.status === 401) turnAway();
    const isBusy = response.status === 429 || response.status === 503;
    if (!isBusy) throw new ProblemError(response.status, said as Partial<Problem> | undefined);
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
    signal.throwIfAborted();
  }
}

function sumOf(before: ImportReport, { faults, ...more }: ImportReport): ImportReport {
  const all = [...before.faults];
  for (const fault of faults) {
    const at = all.findIndex(({ reason, detail }) => reason === fault.reason && detail === fault.detail);
    if (at === -1) all.push(fault);
    else all[at] = { ...all[at]!, count: all[at]!.count + fault.count };
  }
  const counts = (['rows', 'stored', 'refused', 'repeated', 'more'] as const).map((key) => [
    key,
    before[key] + more[key],
  ]);
  return { ...(Object.fromEntries(counts) as Omit<ImportReport, 'faults'>), faults: all };
}
