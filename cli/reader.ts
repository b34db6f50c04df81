import pino from 'pino';
import { readConfig } from '../app/index.ts';
import { systemClock as clock, DAY_MS } from '../domain/index.ts';
import { createProgress } from './output.ts';

/** A line of progress after so many blocks. */
const EVERY_BLOCKS = 20_000;

/** Returns what reads a log without a server: what is kept follows the settings; progress goes to a terminal. */
export function readerOf(environment: NodeJS.ProcessEnv, progressAsked: boolean) {
  const progress = createProgress(progressAsked);
  const { keep, quarantine, logLevel } = readConfig(environment);
  let said = 0;
  return {
    clock,
    quarantine,
    auditMs: keep.auditDays * DAY_MS,
    quarantineMs: keep.quarantineDays * DAY_MS,
    log: pino({ level: logLevel === 'info' ? 'error' : logLevel, name: 'lamppost' }, pino.destination(2)),
    onBlock(seq: number, last: number) {
      if (seq - said < EVERY_BLOCKS) return;
      said = seq;
      progress.show(`block ${seq} of ${last}`);
    },
  };
}
