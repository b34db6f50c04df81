import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { createApi } from '../api/index.ts';
import { systemClock as clock, type Key } from '../domain/index.ts';
import { createLedgerReader, createQuarantineReader, createReplays, createRuleRecordReader } from '../ingest/index.ts';
import { JournalReader } from '../journal/index.ts';
import packaged from '../package.json' with { type: 'json' };
import { type Credential, hashSecret, newSecret, openRegistry } from '../registry/index.ts';
import { backtestDevices, createRuleRepository, ruleInForce } from '../rules/index.ts';
import { createBackups, refuseUnfinished } from '../store/index.ts';
import { createApiDeps } from './api-deps.ts';
import { backupSources, checkTogether } from './backup.ts';
import { openCitizens } from './citizen-deps.ts';
import { createCityInForce, loadCity } from './city-in-force.ts';
import type { Config } from './config.ts';
import { createJobs } from './jobs.ts';
import { createSchedule } from './schedule.ts';
import { type OnStep, Steps } from './steps.ts';
import { createBacktests } from './threads/backtests.ts';
import { collectAfterStart, growWithLoad } from './threads/memory.ts';
import { startThreads } from './threads/start.ts';

/** Where a Lamppost that has started listens. */
export interface Started {
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly mqttsPort: number | null;
  /** The admin key where none was set: to be shown once. */
  readonly generatedKey: string | null;
}

/** A whole Lamppost of this process. */
export interface Lamppost {
  /**
   * Starts everything. Throws LamppostError where a setting, the city or the disk does not allow it; all that was
   * started by then is stopped again.
   */
  start(): Promise<Started>;
  /** Reads the city folder again; a folder with mistakes throws `city` and changes nothing. */
  reloadCity(): Promise<{ changed: boolean; version: string }>;
  /** Takes no more messages, settles what was taken, closes everything. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  readonly log: Logger;
  /** Called where a thread dies after the start: the process should end, the journal recovers at the next start. */
  readonly onCrash: (error: Error) => void;
  readonly onStep?: OnStep;
}

const ADMIN: Key = { id: 'admin', name: 'admin', role: 'admin', department: null };

/** Makes a Lamppost of its settings; nothing happens until `start`. The one place that wires every room. */
export function createLamppost(config: Config, { log, onCrash, onStep }: Options): Lamppost {
  const steps = new Steps(log, onStep);
  let started = false;
  let crashed: Error | null = null;
  let reloadCity: Lamppost['reloadCity'] | null = null;

  function onThreadCrash(error: Error): void {
    if (started) onCrash(error);
    else crashed ??= error;
  }

  async function startAll(): Promise<Started> {
    const loaded = await loadCity(config.city);
    mkdirSync(config.data, { recursive: true });
    refuseUnfinished(config.data);
    const file = (name: string) => join(config.data, name);
    const close = (opened: { close(): void }) => opened.close();

    const registry = await steps.do('registry', () => openRegistry(file('registry.sqlite'), clock), close);
    const generatedKey = config.adminKey === null ? newSecret() : null;
    const hash = hashSecret(config.adminKey ?? generatedKey!);
    const admin: Credential = { identity: { kind: 'key', id: ADMIN.id, key: ADMIN }, hash };

    const threads = await startThreads({
      ...{ config, city: loaded.control, registry, admin, steps, log },
      onCrash: onThreadCrash,
    });
    const { journal, engine, notify, mqtt } = threads;
    const city = createCityInForce(config.city, loaded, async (control) => {
      await journal.control('city', control, control.version);
      await notify.city(control);
    });
    reloadCity = () => city.reload();

    const openState = () => new DatabaseSync(file('state.sqlite'), { readOnly: true });
    const state = await steps.do('state reader', openState, close);
    const journalReader = await steps.do(
      'journal reader',
      () => new JournalReader(file('journal.sqlite')).open(),
      close,
    );
    const ledger = createLedgerReader(state, journalReader);
    const quarantine = createQuarantineReader(state);
    const rules = createRuleRepository(
      {
        city: city.current,
        records: createRuleRecordReader(state),
        append: (control) => journal.control('rule', control, null),
        taken: async () => (await engine.status()).rules,
        clock,
      },
      { head: journalReader.head().seq },
    );
    const openFiles = () => openCitizens({ dir: config.data, state, engine, clock }, config.citizens);
    const citizens = await steps.do('citizens', openFiles, close);

    const stop = (service: { stop(): Promise<void> }) => service.stop();
    const makeReplays = () => createReplays({ quarantine, append: journal.replay, status: engine.status, clock });
    const replays = await steps.do('replays', makeReplays, stop);
    const makeBacktests = () =>
      createBacktests({
        city: () => city.current().city,
        inForce: (id) => ruleInForce(rules, id),
        devices: () => backtestDevices((query) => registry.list(query)),
        scan: engine.scan,
      });
    const backtests = await steps.do('backtests', makeBacktests, stop);
    const makeBackups = () =>
      createBackups({
        sources: backupSources({
          dir: config.data,
          copyHistory: config.influx === null ? (to: string) => engine.copyHistory(to) : null,
        }),
        check: checkTogether,
        hold: journal.hold,
        letGo: journal.letGo,
        about: () => ({ lamppost: packaged.version, city: city.current().control.version }),
        folder: config.backup.dir,
        clock,
        log,
      });
    const backups = await steps.do('backups', makeBackups, stop);

    const deps = createApiDeps({
      ...{ config, log, clock, registry, threads, city, state, ledger, quarantine, replays, rules, backups },
      admin: { key: ADMIN, hash },
      backtest: backtests.run,
      citizens: citizens.deps,
      mqttPort: mqtt.port,
    });
    const api = createApi(deps, { ...config.http, citizens: config.citizens });
    await steps.do(
      'HTTP listener',
      () => api.start(),
      () => api.stop(),
    );
    const { dir: backupDir, keep: backupsKept } = config.backup;
    const jobs = createJobs({
      clock,
      ledger: () => ledger.read()!,
      engine,
      notify,
      reception: citizens.reception,
      keep: config.keep,
      backup: backupDir === null ? null : () => backups.nightly(backupsKept),
    });
    const schedule = createSchedule(jobs, { log, timezone: city.current().city.timezone });
    await steps.do(
      'jobs',
      () => schedule.start(),
      () => schedule.stop(),
    );
    if (crashed !== null) throw crashed;
    collectAfterStart();
    growWithLoad();
    started = true;
    return { httpPort: api.port(), mqttPort: mqtt.port, mqttsPort: mqtt.tlsPort, generatedKey };
  }

  return {
    async start() {
      try {
        return await startAll();
      } catch (error) {
        await steps.undo();
        throw crashed ?? error;
      }
    },
    reloadCity() {
      if (reloadCity === null) throw new Error('it has not started');
      return reloadCity();
    },
    stop: () => steps.undo(),
  };
}
