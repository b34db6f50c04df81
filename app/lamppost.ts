import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { ActionLog, type Caller, createAuditReader, createResultReader } from '../actions/index.ts';
import { type Api, createApi, createOidc } from '../api/index.ts';
import { type Bridges, createBridges } from '../bridges/index.ts';
import type { AccountLimits, DeclaredNames, Departments } from '../broker/index.ts';
import { namedBy, parseCity } from '../city-model/index.ts';
import {
  ALONE,
  type City,
  type Key,
  LamppostError,
  type LoginsFailing,
  reachOf,
  SharedClock,
  systemTimers,
} from '../domain/index.ts';
import {
  createLedgerReader,
  createQuarantineReader,
  createReplays,
  createRuleRecordReader,
  newestCity,
} from '../ingest/index.ts';
import { JournalReader } from '../journal/index.ts';
import { COUNTED_HERE, type Counters, SharedFailures } from '../limits/index.ts';
import { createSealer, readKeyFile, type Sealer } from '../notify/index.ts';
import packaged from '../package.json' with { type: 'json' };
import { ADMIN, createKeyUses, hashSecret, newSecret, type RegistryReader } from '../registry/index.ts';
import { backtestDevices, createRuleRepository, type RuleRepository, ruleInForce } from '../rules/index.ts';
import {
  type Backups,
  createBackups,
  isDamage,
  keepPrivate,
  lockFolder,
  refuseUnfinished,
  sealFolder,
  unsealFolder,
} from '../store/index.ts';
import { createApiDeps } from './api-deps.ts';
import { backupSources, checkTogether, SECRETS_KEY_FILE } from './backup.ts';
import { openCitizens, type SharedCitizens } from './citizen-deps.ts';
import {
  type CityInForce,
  createCityInForce,
  createFolderSeen,
  firstOfCluster,
  type LoadedCity,
  loadCity,
  refuseMovedStates,
} from './city-in-force.ts';
import { type Config, type Pems, readCertificates } from './config.ts';
import { createDownlinkQueue } from './downlinks.ts';
import { createJobs, folderOfSnapshots, snapshotJob } from './jobs.ts';
import { beginMembership, type Membership } from './membership.ts';
import { unknownDepartments } from './oidc-settings.ts';
import { openPeople } from './people-deps.ts';
import { adoptReceivers, cityActions, type Recorded, ruleActions } from './recorded.ts';
import { createSchedule, type Job } from './schedule.ts';
import { type SetAside, setAsideDamaged, suspect } from './set-aside.ts';
import { noteNewestBackup } from './snapshots.ts';
import { type OnStep, Steps } from './steps.ts';
import { createBacktests } from './threads/backtests.ts';
import { createFormatTrials } from './threads/format-trials.ts';
import { openImports } from './threads/imports.ts';
import { collectAfterStart, createHeapGrowth } from './threads/memory.ts';
import { prepareThreads, startThreads, type Threads } from './threads/start.ts';

/** Where a Lamppost that has started listens. */
export interface Started {
  readonly httpPort: number;
  /** Null where plain TCP is switched off. */
  readonly mqttPort: number | null;
  readonly mqttsPort: number | null;
  readonly httpsPort: number | null;
  /** The admin key where none was set: to be shown once. */
  readonly generatedKey: string | null;
  /** How many people may sign in. */
  readonly people: number;
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
  /**
   * Reads the certificates again, for handshakes from now on; no connection ends. False where nothing listens with TLS.
   * Throws `config` where they cannot be used: then those of before stay.
   */
  reloadCertificates(): Promise<boolean>;
  /** Takes no more messages, settles what was taken, closes everything. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  readonly log: Logger;
  /** Called where a thread dies after the start: the process should end, and the journal recovers at the next start. */
  readonly onCrash: (error: Error) => void;
  readonly onStep?: OnStep;
}

const ADMIN_KEY: Key = { id: ADMIN, name: 'admin', role: 'admin', department: null };

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
  /** Follows the wall clock until the journal's thread has opened the log. */
  readonly #clock = new SharedClock();
  readonly #onCrash: (error: Error) => void;
  readonly #steps: Steps;
  /** Null: this node is alone, and has every duty. */
  #member: Membership | null = null;
  #city: CityInForce | null = null;
  /** Null until everything listens. */
  #renew: ((pems: Pems) => Promise<void>) | null = null;
  #recorded: Recorded | null = null;
  /** Null until MQTT listens. */
  #bridges: Bridges | null = null;
  #started = false;
  #crashed: Error | null = null;
  #aside: readonly SetAside[] = [];

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
    return this.#city.reload(null);
  }

  async reloadCertificates(): Promise<boolean> {
    const { certificates } = this.#config;
    if (certificates === null || this.#renew === null) return false;
    await this.#renew(readCertificates(certificates));
    return true;
  }

  stop(): Promise<void> {
    return this.#steps.undo();
  }

  async #startAll(): Promise<Started> {
    const config = this.#config;
    const prepare = () => prepareThreads(config, (error) => this.#threadCrashed(error));
    const prepared = await this.#steps.do('threads', prepare, (threads) => threads.end());
    const folder = await loadCity(config.city);
    keepPrivate(config.data, this.#log, config.backup.dir);
    const lock = () => lockFolder(config.data, this.#clock.now());
    await this.#steps.do('data folder', lock, (folder) => {
      // What a start that failed leaves may be damaged.
      if (this.#started) sealFolder(config.data);
      folder.release();
    });
    refuseUnfinished(config.data);
    unsealFolder(config.data);
    this.#aside = setAsideDamaged(config.data, this.#clock.now(), this.#log);
    this.#member = await this.#join();
    const seen = this.#member === null ? null : createFolderSeen(config.data);
    let loaded = folder;
    /** What the others have decided while this node was down is in its log by then. */
    const first = () => {
      const chosen = seen === null ? null : firstOfCluster(folder, config.data, seen, this.#log);
      loaded = chosen?.loaded ?? folder;
      this.#refuseMovedStates(loaded);
      for (const fault of unknownDepartments(config.people.oidc, loaded.city)) this.#log.warn(fault);
      return {
        city: loaded.control,
        cityOf: chosen?.seq ?? null,
        limits: sendLimits(config, loaded.city),
        departments: departmentsOf(loaded.city),
        declared: declaredIn(loaded.city),
      };
    };
    const generatedKey = config.adminKey === null && !config.adminKeyOff ? newSecret() : null;
    const adminKey = config.adminKey ?? generatedKey;
    const admin = adminKey === null ? null : { key: ADMIN_KEY, hash: hashSecret(adminKey) };
    const secretsKey = config.secretsKey ?? readKeyFile(this.#file(SECRETS_KEY_FILE));
    const threads = await startThreads({
      prepared,
      config,
      clock: this.#clock,
      secretsKey,
      first,
      admin: admin && { identity: { kind: 'key', id: ADMIN, key: ADMIN_KEY }, hash: admin.hash },
      duties: this.#member?.duties ?? null,
      steps: this.#steps,
      log: this.#log,
    });
    seen?.put(folder.control.version);
    const { citySeq: seq } = threads;
    const city = createCityInForce(
      { folder: config.city, first: loaded, seq, seen, log: this.#log },
      cityActions({
        ...{ journal: threads.journal, notify: threads.notify, recorded: () => this.#recorded! },
        bound: async (next) => {
          await threads.broker.limit(sendLimits(config, next));
          await threads.broker.departments(departmentsOf(next));
          await threads.broker.declared(declaredIn(next));
          this.#applyBridges(next);
        },
      }),
    );
    this.#city = city;
    threads.onCity((at, control) => void city.adopt(at, control));
    const { api, people } = await this.#startServices({ threads, city, admin, sealer: createSealer(secretsKey) });
    this.#renew = async (pems) => {
      await threads.broker.renew(pems);
      api.renew({ cert: pems.cert, key: pems.key });
    };
    if (this.#crashed !== null) throw this.#crashed;
    await this.#steps.do('collections', collectAfterStart, (end) => end());
    const growth = createHeapGrowth();
    await this.#steps.do(
      'heap growth',
      () => growth.start(),
      () => growth.stop(),
    );
    this.#started = true;
    const { port: mqttPort, tlsPort: mqttsPort } = threads.mqtt;
    return { httpPort: api.port(), httpsPort: api.tlsPort(), mqttPort, mqttsPort, generatedKey, people };
  }

  /** Where the log is a stream: makes this process a node of its cluster. */
  async #join(): Promise<Membership | null> {
    const { cluster: settings, data: dir } = this.#config;
    if (settings === null) return null;
    const onFault = (error: Error) => this.#threadCrashed(error);
    const { maxPacket } = this.#config.mqtt;
    const begin = () => beginMembership({ dir, settings, maxPacket, clock: this.#clock, log: this.#log, onFault });
    return this.#steps.do('cluster', begin, stop);
  }

  /** Says to the other nodes how this one is, and applies for duties. */
  async #startMember(member: Membership, { engine, broker, mqtt }: Threads, served: Served): Promise<void> {
    const { http, mqtt: listener } = this.#config;
    await member.start({
      http: `${http.host}:${served.api.port()}`,
      mqtt: mqtt.port === null ? null : `${listener.host}:${mqtt.port}`,
      checksum: engine.checksum,
      clients: async () => (await broker.counts()).connections,
      state: async () => {
        const [status, { ready, reasons }] = await Promise.all([engine.status(), served.readiness()]);
        const lagMs = Math.max(0, this.#clock.steady.now() - (await served.decidedToMs()));
        return {
          ready,
          reasons: [...reasons],
          mirrored: status.head,
          decided: status.rules,
          stored: status.history,
          lagMs,
        };
      },
    });
  }

  /** The folder may have changed while the process was down. */
  #refuseMovedStates({ control, city }: LoadedCity): void {
    const before = newestCity(this.#file('state.sqlite'));
    if (before === null || before.version === control.version) return;
    const known = parseCity(before).city;
    if (known !== null) refuseMovedStates(known, city);
  }

  /** Starts what reads the files, the API over it, and the jobs; returns the API, and how many people there are. */
  async #startServices({ threads, city, admin, sealer }: Parts): Promise<{ api: Api; people: number }> {
    await threads.tookOver();
    const [config, log, steps, clock] = [this.#config, this.#log, this.#steps, this.#clock];
    const { journal, engine, notify } = threads;
    const openState = () => new DatabaseSync(this.#file('state.sqlite'), { readOnly: true });
    const state = await steps.do('state reader', openState, close);
    const openJournal = () => new JournalReader(this.#file('journal.sqlite')).open();
    const journalReader = await steps.do('journal reader', openJournal, close);
    const formats = () => city.current().formats;
    const ledger = createLedgerReader(state, journalReader, formats);
    const quarantine = createQuarantineReader(state, formats);
    const records = createRuleRecordReader(state);
    const actions = new ActionLog({
      append: (control) => journal.control('actions', control, null),
      timers: systemTimers,
      clock: clock.steady,
      head: createAuditReader(state).head(),
    });
    this.#recorded = { actions, results: createResultReader(state) };
    threads.onDecided((decided) => actions.decided(decided));
    adoptReceivers({ notify, actions, sealer, log });
    const rules = createRuleRepository({ city: city.current, records, write: ruleActions(actions) });
    const makeReplays = () => createReplays({ quarantine, append: journal.replay, status: engine.status, clock });
    const replays = await steps.do('replays', makeReplays, stop);
    const trials = await steps.do('trials of formats', createFormatTrials, stop);
    const backtests = await steps.do('backtests', () => backtestsOf({ threads, city, rules }), stop);
    const makeImports = () => openImports({ dir: config.data, actions, journal, status: engine.status });
    const imports = await steps.do('imports', makeImports, stop);
    const backups = await steps.do('backups', () => this.#backupsOf(threads, city), stop);

    const makeUses = () =>
      createKeyUses({ clock, ofBroker: threads.broker.keysUsed, write: (uses) => engine.keysUsed(uses) });
    const keyUses = await steps.do('key use', makeUses, stop);
    keyUses.start();
    const decidedToMs = async () => {
      const { rules: decided } = await engine.status();
      return journalReader.after(decided, 1)[0]?.steadyAt ?? clock.steady.now();
    };
    const sharedCitizens = await this.#sharedCitizens();
    const startCitizens = () =>
      openCitizens(
        {
          shared: sharedCitizens,
          ...{ dir: config.data, state, actions, decidedToMs, clock, notify, log },
          ...{ publicUrl: config.publicUrl, smtp: config.smtp, sms: config.sms },
          city: () => city.current().city,
        },
        config.citizens,
      );
    const citizens = await steps.do('citizens', startCitizens, close);
    threads.onAppended(() => citizens.progress.wake());
    const onFailing = (failing: LoginsFailing) => {
      journal
        .control('notices', { drops: [], logins: [failing] }, null)
        .catch((error: unknown) => log.warn({ err: error }, 'an event of logins is lost'));
    };
    const once = (await this.#member?.openOnce()) ?? null;
    const counters = await this.#countersWith(threads);
    const openedBy = { dir: config.data, state, clock, once, actions, sealer, onFailing, counters };
    const startPeople = () => openPeople(openedBy, config.people);
    const people = await steps.do('people', startPeople, close);
    if (admin === null && !people.hasAdmin()) requireAdmin(threads.registry);
    const bridges = await steps.do('bridges', () => this.#bridgesOf(threads, city, state), stop);
    threads.onAppended(() => bridges.wake());
    const deps = createApiDeps({
      ...{
        config,
        log,
        clock,
        threads,
        city,
        state,
        ledger,
        quarantine,
        replays,
        rules,
        backups,
        imports,
        admin,
        actions,
        keyUses,
        sealer,
        counters,
        decidedToMs,
      },
      aside: this.#aside,
      backtest: backtests.run,
      tryFormat: trials.try,
      citizens: citizens.deps,
      people: people.deps,
      oidc: config.people.oidc === null ? null : createOidc(config.people.oidc),
      bridge: threads.mqtt.bridge,
      bridges,
      member: this.#member,
    });
    const api = createApi(deps, { ...config.http, citizens: config.citizens });
    await steps.do(
      'HTTP listener',
      () => api.start(),
      () => api.stop(),
    );
    const member = this.#member;
    if (member !== null) {
      const starting = () => this.#startMember(member, threads, { api, readiness: deps.readiness, decidedToMs });
      // Before the threads end, as it reports on them.
      await this.#steps.do('membership', starting, () => member.leave());
    }
    const { dir, keep: kept } = config.backup;
    const jobs = createJobs({
      ...{ clock, engine, notify, keep: config.keep, duties: this.#member?.duties ?? ALONE },
      ledger: () => ledger.read()!,
      reception: citizens.reception,
      backup: dir === null ? null : () => backups.nightly(kept),
    });
    if (member !== null) jobs.push(this.#snapshotsOf(member, threads, city));
    const schedule = createSchedule(jobs, { log, timezone: city.current().city.timezone });
    await steps.do(
      'jobs',
      () => schedule.start(),
      () => schedule.stop(),
    );
    return { api, people: people.count() };
  }

  #bridgesOf({ broker, journal }: Threads, city: CityInForce, state: DatabaseSync): Bridges {
    const { bridges: secrets, mqtt } = this.#config;
    const parts = { secrets, maxMessage: mqtt.maxPacket, clock: this.#clock.steady, timers: systemTimers };
    const downlinks = createDownlinkQueue(state, (notices) => journal.control('notices', notices, null), this.#log);
    const carry: typeof broker.carry = (key, messages) => {
      // A process that was paused reads what came before it learns that another node has the bridges.
      if (!this.#hasBridges())
        throw new LamppostError('busy', 'another node may have the bridges', { retryable: true });
      return broker.carry(key, messages);
    };
    this.#bridges = createBridges({ ...parts, downlinks, carry, log: this.#log });
    this.#applyBridges(city.current().city);
    this.#member?.duties.onChange((duty) => {
      if (duty === 'bridges') this.#applyBridges(city.current().city);
    });
    return this.#bridges;
  }

  /**
   * Two nodes with one bridge would take each message twice, and the other broker ends one's connection for the
   * other's.
   */
  #applyBridges({ bridges }: City): void {
    this.#bridges?.apply(this.#hasBridges() ? bridges : new Map());
  }

  #hasBridges(): boolean {
    return (this.#member?.duties ?? ALONE).holds('bridges') !== null;
  }

  /** What the nodes of a cluster share of citizens, sealed with the key that all have. */
  async #sharedCitizens(): Promise<SharedCitizens | null> {
    if (this.#member === null) return null;
    const sealer = createSealer(this.#config.secretsKey!, 'lamppost citizens');
    return { ...(await this.#member.openCitizens()), sealer, duties: this.#member.duties };
  }

  /** Counts failed logins of this thread and of the broker together with the other nodes. */
  async #countersWith({ broker, onFailures }: Threads): Promise<Counters> {
    const member = this.#member;
    if (member === null) return COUNTED_HERE;
    const open = () => {
      const cluster = member.openFailures((failures) => {
        shared.receive(failures);
        // A broker that has ended counts nothing.
        broker.failed(failures).catch(() => {});
      });
      const shared = new SharedFailures({ timers: systemTimers, send: cluster.send });
      onFailures(cluster.send);
      return { shared, cluster };
    };
    const { shared } = await this.#steps.do('failed logins', open, ({ shared, cluster }) => {
      shared.stop();
      cluster.stop();
    });
    return shared;
  }

  #backupsOf(threads: Threads, city: CityInForce): Backups {
    const { dir } = this.#config.backup;
    const { journal } = threads;
    const noteNewest = () => void noteNewestBackup(dir, this.#file('journal.sqlite'), journal, this.#log);
    noteNewest();
    return this.#backupsIn(dir, noteNewest, threads, city);
  }

  #backupsIn(folder: string | null, onDone: () => void, { engine, journal }: Threads, city: CityInForce): Backups {
    const { data: dir, influx } = this.#config;
    const copyHistory = influx === null ? (to: string) => engine.copyHistory(to) : null;
    return createBackups({
      sources: backupSources({ dir, copyHistory }),
      check: checkTogether,
      hold: journal.hold,
      letGo: journal.letGo,
      onDone,
      about: () => ({ lamppost: packaged.version, city: city.current().control.version }),
      folder,
      clock: this.#clock,
      log: this.#log,
    });
  }

  /** Snapshots for the other nodes of a cluster. */
  #snapshotsOf(member: Membership, threads: Threads, city: CityInForce): Job {
    const { data: dir } = this.#config;
    return snapshotJob({
      dir,
      backups: this.#backupsIn(folderOfSnapshots(dir), () => {}, threads, city),
      isMine: () => member.duties.holds('snapshots') !== null,
      newest: () => member.newestSnapshot(),
      put: (folder, seq) => member.snapshot(folder, seq),
    });
  }

  #file(name: string): string {
    return join(this.#config.data, name);
  }

  #threadCrashed(error: Error): void {
    if (isDamage(error)) suspect(this.#config.data);
    if (this.#started) this.#onCrash(error);
    else this.#crashed ??= error;
  }
}

/** Returns what the broker knows of the departments. */
function departmentsOf({ publication: { shared }, profiles }: City): Departments {
  return { shared, profiles: new Map([...profiles.values()].map(({ id, departments }) => [id, departments])) };
}

/** Returns what the broker knows of declared formats: where devices may publish beside their own topics. */
function declaredIn({ formats }: City): DeclaredNames {
  const topics = [...formats.values()].flatMap((format) =>
    format.topics.map((topic) => ({ topic, device: namedBy(topic, format.device) })),
  );
  return { names: [...formats.keys()], topics };
}

/** Throws `config` where nobody could administrate. */
function requireAdmin(registry: Pick<RegistryReader, 'keys'>): void {
  // A key in a department, or with scopes, may not be enough to add anybody.
  if (registry.keys().some((key) => reachOf([key], 'keys.write') === 'city')) return;
  throw new LamppostError(
    'config',
    'LAMPPOST_ADMIN_KEY: it is off, and nobody else is an admin who can get in. Start with one, run "lamppost key ' +
      'add" or "lamppost user add" with --role admin, set a password by the link, and switch it off then',
  );
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

/** What the API serves. */
interface Served {
  readonly api: Api;
  readonly readiness: () => Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }>;
  /** The steady time up to which the rules have decided. */
  readonly decidedToMs: () => Promise<number>;
}

interface Parts {
  readonly threads: Threads;
  readonly city: CityInForce;
  readonly admin: { readonly key: Key; readonly hash: Buffer } | null;
  readonly sealer: Sealer;
}

function backtestsOf({
  threads,
  city,
  rules,
}: Pick<Parts, 'threads' | 'city'> & { readonly rules: RuleRepository<Caller> }) {
  return createBacktests({
    city: () => city.current().city,
    inForce: (id) => ruleInForce(rules, id),
    devices: () => backtestDevices((query) => threads.registry.list(query)),
    scan: threads.engine.scan,
  });
}
