import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { ActionLog, createAuditReader } from '../actions/index.ts';
import { createApi } from '../api/index.ts';
import type { AccountLimits } from '../broker/index.ts';
import { type City, systemClock as clock, type Key, systemTimers } from '../domain/index.ts';
import { createLedgerReader, createQuarantineReader, createReplays, createRuleRecordReader } from '../ingest/index.ts';
import { JournalReader } from '../journal/index.ts';
import packaged from '../package.json' with { type: 'json' };
import { createRegistry, hashSecret, newSecret, type Registry } from '../registry/index.ts';
import { backtestDevices, createRuleRepository, type RuleRepository, ruleInForce } from '../rules/index.ts';
import { createBackups, keepPrivate, refuseUnfinished } from '../store/index.ts';
import { createApiDeps } from './api-deps.ts';
import { backupSources, checkTogether } from './backup.ts';
import { openCitizens } from './citizen-deps.ts';
import { type CityInForce, createCityInForce, loadCity } from './city-in-force.ts';
import type { Config } from './config.ts';
import { createJobs } from './jobs.ts';
import { createSchedule } from './schedule.ts';
import { type OnStep, Steps } from './steps.ts';
import { createBacktests } from './threads/backtests.ts';
import { collectAfterStart, growWithLoad } from './threads/memory.ts';
import { startThreads, type Threads } from './threads/start.ts';

/** Where a Lamppost that has started listens. */
export interface Started {
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly mqttsPort: number | null;
  /** The admin key where none was set: to be shown once. */
  readonly generatedKey: string | null;
}

/** A whole Lamppost in this process. */
export interface Lamppost {
  /**
   * Starts everything. Throws LamppostError where a setting, the city or the disk does not allow it; what was started
   * by then is stopped again.
   */
  start(): Promise<Started>;
  /** Reads the city folder again; a folder with mistakes throws `city` and changes nothing. */
  reloadCity(): Promise<{ changed: boolean; version: string }>;
  /** Takes no more messages, settles what was taken, closes everything. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  readonly log: Logger;
  /** Called where a thread dies after the start: the process should end, and the journal recovers at the next start. */
  readonly onCrash: (error: Error) => void;
  readonly onStep?: OnStep;
}

const ADMIN: Key = { id: 'admin', name: 'admin', role: 'admin', department: null };

/** Returns a Lamppost with these settings; nothing happens until `start`. */
export function createLamppost(config: Config, options: Options): Lamppost {
  return new Process(config, options);
}

const close = (opened: { close(): void }) => opened.close();
const stop = (service: { stop(): unknown }) => service.stop();

/** The one place that wires every room: a stack of named steps, each with what undoes it. */
class Process implements Lamppost {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #onCrash: (error: Error) => void;
  readonly #steps: Steps;
  #city: CityInForce | null = null;
  #started = false;
  #crashed: Error | null = null;

  constructor(config: Config, { log, onCrash, onStep }: Options) {
    this.#config = config;
    this.#log = log;
    this.#onCrash = onCrash;
    this.#steps = new Steps(log, onStep);
  }

  async start(): Promise<Started> {
    try {
      return await this.#startAll();
    } catch (error) {
      await this.#steps.undo();
      throw this.#crashed ?? error;
    }
  }

  reloadCity() {
    if (this.#city === null) throw new Error('it has not started');
    return this.#city.reload();
  }

  stop(): Promise<void> {
    return this.#steps.undo();
  }

  async #startAll(): Promise<Started> {
    const config = this.#config;
    const loaded = await loadCity(config.city);
    keepPrivate(config.data, this.#log, config.backup.dir);
    refuseUnfinished(config.data);
    const openRegistry = () => createRegistry({ clock }, { path: this.#file('registry.sqlite') }).open();
    const registry = await this.#steps.do('registry', openRegistry, close);
    const generatedKey = config.adminKey === null ? newSecret() : null;
    const admin = { key: ADMIN, hash: hashSecret(config.adminKey ?? generatedKey!) };
    const threads = await startThreads({
      config,
      city: loaded.control,
      limits: sendLimits(config, loaded.city),
      registry,
      admin: { identity: { kind: 'key', id: ADMIN.id, key: ADMIN }, hash: admin.hash },
      steps: this.#steps,
      log: this.#log,
      onCrash: (error) => this.#threadCrashed(error),
    });
    const city = createCityInForce(config.city, loaded, async (next) => {
      await threads.journal.control('city', next.control, next.control.version);
      await threads.notify.city(next.control);
      await threads.broker.limit(sendLimits(config, next.city));
    });
    this.#city = city;
    const httpPort = await this.#startServices({ registry, threads, city, admin });
    if (this.#crashed !== null) throw this.#crashed;
    collectAfterStart();
    growWithLoad();
    this.#started = true;
    return { httpPort, mqttPort: threads.mqtt.port, mqttsPort: threads.mqtt.tlsPort, generatedKey };
  }

  /** Starts what reads the files, the API over it, and the jobs; returns the port of HTTP. */
  async #startServices({ registry, threads, city, admin }: Parts): Promise<number> {
    const [config, log, steps] = [this.#config, this.#log, this.#steps];
    const { journal, engine, notify } = threads;
    const openState = () => new DatabaseSync(this.#file('state.sqlite'), { readOnly: true });
    const state = await steps.do('state reader', openState, close);
    const openJournal = () => new JournalReader(this.#file('journal.sqlite')).open();
    const journalReader = await steps.do('journal reader', openJournal, close);
    const ledger = createLedgerReader(state, journalReader);
    const quarantine = createQuarantineReader(state);
    const records = createRuleRecordReader(state);
    const rules = createRuleRepository(
      {
        city: city.current,
        records,
        append: (control) => journal.control('rule', control, null),
        taken: async () => (await engine.status()).rules,
        clock,
      },
      { head: journalReader.head().seq },
    );
    const startCitizens = () => openCitizens({ dir: config.data, state, engine, clock }, config.citizens);
    const citizens = await steps.do('citizens', startCitizens, close);
    const makeReplays = () => createReplays({ quarantine, append: journal.replay, status: engine.status, clock });
    const replays = await steps.do('replays', makeReplays, stop);
    const backtests = await steps.do('backtests', () => backtestsOf({ registry, threads, city, rules }), stop);
    const backups = await steps.do('backups', () => this.#backupsOf(threads, city), stop);

    const actions = new ActionLog({
      append: (control) => journal.control('actions', control, null),
      timers: systemTimers,
      head: createAuditReader(state).head(),
    });
    threads.onDecided((decided) => actions.decided(decided));
    const api = createApi(
      createApiDeps({
        ...{
          config,
          log,
          clock,
          registry,
          threads,
          city,
          state,
          ledger,
          quarantine,
          replays,
          rules,
          backups,
          admin,
          actions,
        },
        backtest: backtests.run,
        citizens: citizens.deps,
        bridge: threads.mqtt.bridge,
      }),
      { ...config.http, citizens: config.citizens },
    );
    await steps.do(
      'HTTP listener',
      () => api.start(),
      () => api.stop(),
    );
    const { dir, keep: kept } = config.backup;
    const jobs = createJobs({
      ...{ clock, engine, notify, keep: config.keep },
      ledger: () => ledger.read()!,
      reception: citizens.reception,
      backup: dir === null ? null : () => backups.nightly(kept),
    });
    const schedule = createSchedule(jobs, { log, timezone: city.current().city.timezone });
    await steps.do(
      'jobs',
      () => schedule.start(),
      () => schedule.stop(),
    );
    return api.port();
  }

  #backupsOf({ engine, journal }: Threads, city: CityInForce) {
    const { data: dir, influx, backup } = this.#config;
    const copyHistory = influx === null ? (to: string) => engine.copyHistory(to) : null;
    return createBackups({
      sources: backupSources({ dir, copyHistory }),
      check: checkTogether,
      hold: journal.hold,
      letGo: journal.letGo,
      about: () => ({ lamppost: packaged.version, city: city.current().control.version }),
      folder: backup.dir,
      clock,
      log: this.#log,
    });
  }

  #file(name: string): string {
    return join(this.#config.data, name);
  }

  #threadCrashed(error: Error): void {
    if (this.#started) this.#onCrash(error);
    else this.#crashed ??= error;
  }
}

/** Returns what clients may send: by the settings, and by the profiles that say less or more. */
function sendLimits({ mqtt: { sends } }: Config, { profiles }: City): AccountLimits {
  const limited = [...profiles.values()].map(({ id, limits: { messagesPerSecond, bytesPerSecond } }) => [
    id,
    {
      messagesPerSecond: messagesPerSecond ?? sends.messagesPerSecond,
      bytesPerSecond: bytesPerSecond ?? sends.bytesPerSecond,
    },
  ]);
  return { device: sends, profiles: Object.fromEntries(limited) };
}

interface Parts {
  readonly registry: Registry;
  readonly threads: Threads;
  readonly city: CityInForce;
  readonly admin: { readonly key: Key; readonly hash: Buffer };
}

function backtestsOf({ registry, threads, city, rules }: Omit<Parts, 'admin'> & { readonly rules: RuleRepository }) {
  return createBacktests({
    city: () => city.current().city,
    inForce: (id) => ruleInForce(rules, id),
    devices: () => backtestDevices((query) => registry.list(query)),
    scan: threads.engine.scan,
  });
}
