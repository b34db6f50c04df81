/** The wiring of a Lamppost: files, threads, API. The one place that knows every room. */
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
import { createRuleBook } from '../rules/index.ts';
import { createBackups, refuseUnfinished } from '../store/index.ts';
import { createApiDeps } from './api-deps.ts';
import { backupSources, checkTogether } from './backup.ts';
import { openCitizens } from './citizen-deps.ts';
import { createCityInForce, loadCity } from './city-in-force.ts';
import type { Config } from './config.ts';
import { createJobs } from './jobs.ts';
import { createSchedule } from './schedule.ts';
import { backtestDevices, createBacktests, ruleInForce } from './threads/backtests.ts';
import { startThreads } from './threads/start.ts';

/** A running Lamppost. */
export interface Lamppost {
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly mqttsPort: number | null;
  /** The admin key, where it was generated: to be shown once. */
  readonly generatedKey: string | null;
  /** Reads the city folder again; a folder with mistakes throws `city` and changes nothing. */
  reloadCity(): Promise<{ changed: boolean; version: string }>;
  /** Drains: takes no more messages, settles what was taken, closes. */
  stop(): Promise<void>;
}

const ADMIN: Key = { id: 'admin', name: 'admin', role: 'admin', department: null };

/** Starts everything. Throws LamppostError where a setting, the city or the disk does not allow it. */
export async function startLamppost(config: Config, log: Logger, onCrash: (error: Error) => void): Promise<Lamppost> {
  const loaded = await loadCity(config.city);
  mkdirSync(config.data, { recursive: true });
  refuseUnfinished(config.data);
  const file = (name: string) => join(config.data, name);
  const registry = openRegistry(file('registry.sqlite'), clock);
  const generatedKey = config.adminKey === null ? newSecret() : null;
  const hash = hashSecret(config.adminKey ?? generatedKey!);
  const admin: Credential = { identity: { kind: 'key', id: ADMIN.id, key: ADMIN }, hash };

  const threads = await startThreads({ config, city: loaded.control, registry, admin, log, onCrash });
  const { journal, engine } = threads;
  const city = createCityInForce(config.city, loaded, async (control) => {
    await journal.control('city', control, control.version);
    await threads.notify.city(control);
  });
  const mqtt = await threads.broker.start();

  const state = new DatabaseSync(file('state.sqlite'), { readOnly: true });
  const journalReader = new JournalReader(file('journal.sqlite'));
  const ledger = createLedgerReader(state, journalReader);
  const quarantine = createQuarantineReader(state);
  const replays = createReplays({ quarantine, append: journal.replay, status: engine.status, clock });
  const rules = createRuleBook(
    {
      city: city.current,
      records: createRuleRecordReader(state),
      append: (control) => journal.control('rule', control, null),
      taken: async () => (await engine.status()).rules,
      clock,
    },
    { head: journalReader.head().seq },
  );
  const backtests = createBacktests({
    city: () => city.current().city,
    inForce: (id) => ruleInForce(rules, id),
    devices: () => backtestDevices(registry),
    scan: engine.scan,
  });
  const citizens = openCitizens({ dir: config.data, state, engine, clock }, config.citizens);
  const copyHistory = config.influx === null ? (to: string) => engine.copyHistory(to) : null;
  const backups = createBackups({
    sources: backupSources({ dir: config.data, copyHistory }),
    check: checkTogether,
    hold: journal.hold,
    letGo: journal.letGo,
    about: () => ({ lamppost: packaged.version, city: city.current().control.version }),
    folder: config.backup.dir,
    clock,
    log,
  });
  const deps = createApiDeps({
    config,
    log,
    clock,
    registry,
    threads,
    city,
    admin: { key: ADMIN, hash },
    state,
    ledger,
    quarantine,
    replays,
    rules,
    backtest: backtests.run,
    backups,
    citizens: citizens.deps,
    mqttPort: mqtt.port,
  });
  const api = createApi(deps, { ...config.http, citizens: config.citizens });
  await api.start();
  const { dir: backupDir, keep: backupsKept } = config.backup;
  const backup = backupDir === null ? null : () => backups.nightly(backupsKept);
  const { notify } = threads;
  const jobs = createJobs({
    clock,
    ledger: () => ledger.read()!,
    engine,
    notify,
    reception: citizens.reception,
    keep: config.keep,
    backup,
  });
  const schedule = createSchedule(jobs, { log, timezone: city.current().city.timezone });
  await schedule.start();

  async function stop(): Promise<void> {
    await backups.stop();
    await schedule.stop();
    await replays.stop();
    await backtests.stop();
    await threads.stop();
    await api.stop();
    state.close();
    journalReader.close();
    citizens.close();
    registry.close();
  }

  let stopped: Promise<void> | null = null;
  return {
    httpPort: api.port(),
    mqttPort: mqtt.port,
    mqttsPort: mqtt.tlsPort,
    generatedKey,
    reloadCity: () => city.reload(),
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
