import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino, { type Logger } from 'pino';
import { ACTION_SCHEMA, ActionLog } from '../../../actions/index.ts';
import {
  type Api,
  type ApiDeps,
  type ApiOptions,
  createApi,
  createQueries,
  createRefusals,
  type QueryLimits,
} from '../../../api/index.ts';
import { createStateDeps } from '../../../app/api-deps.ts';
import { backupSources, checkTogether } from '../../../app/backup.ts';
import { openCitizens } from '../../../app/citizen-deps.ts';
import { createThreadEffects } from '../../../app/threads/effects.ts';
import type { Offered, Remote } from '../../../app/threads/rpc.ts';
import { parseCity } from '../../../city-model/index.ts';
import {
  type Clock,
  type Key,
  type KeyRole,
  LamppostError,
  type Rule,
  type Subject,
  systemClock,
  systemTimers,
  type Ticket,
  type Transition,
} from '../../../domain/index.ts';
import { createOutboxReader, OUTBOX_SCHEMA } from '../../../events/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import {
  createLedgerReader,
  createLedgerStore,
  createQuarantineReader,
  createQuarantineStore,
  createReplays,
  createRuleRecordReader,
} from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import {
  createMailer,
  createNotifier,
  createPoster,
  openDeliveries,
  type SmtpSettings,
} from '../../../notify/index.ts';
import { createRegistry, hashSecret, sameHash } from '../../../registry/index.ts';
import {
  ALERT_SCHEMA,
  createRuleRepository,
  createRulesConsumer,
  createTrial,
  parseRules,
  RULES_SCHEMA,
} from '../../../rules/index.ts';
import { atOnce, createBackups, transact } from '../../../store/index.ts';
import {
  type ActionRequest,
  type Rating,
  type Split,
  TICKET_SCHEMA,
  type Request as TicketRequest,
  type TicketService,
} from '../../../tickets/index.ts';
import { columnsOf, tableOf } from '../history/query-reference.ts';
import { cityControl, native, openIntake, openState, write } from '../ingest/intake.ts';
import { type OpenApiDocument, openApiChecker } from '../openapi.ts';
import * as scene from '../tickets/scene.ts';

export const ADMIN = 'the-admin-key-of-these-tests';
const ADMIN_KEY: Key = { id: 'admin', name: 'admin', role: 'admin', department: null };
const T0 = 1_700_000_000_000;

const noBacktest: ApiDeps['backtest'] = () => Promise.reject(new LamppostError('invalid', 'no backtests here'));

const PLENTY = { perSecond: 1e9, burst: 1e9 };
const QUERY_LIMITS: QueryLimits = { seconds: 30, points: PLENTY, work: PLENTY };

/** What a test replaces. */
interface Replaced {
  readonly backtest?: ApiDeps['backtest'];
  readonly city?: ApiDeps['city'];
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly smtp?: SmtpSettings;
  readonly queryLimits?: QueryLimits;
  /** Files of the city folder, instead of the usual ones. */
  readonly files?: Readonly<Record<string, unknown>>;
}

/** An API over real stores in a folder of its own, listening on a free port of the loopback. */
export async function openApi(
  options: Partial<ApiOptions> = {},
  {
    backtest = noBacktest,
    city: shown,
    clock = systemClock,
    files = {},
    log = pino({ level: 'silent' }),
    smtp,
    queryLimits = QUERY_LIMITS,
  }: Replaced = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-api-'));
  const state = openState(
    join(dir, 'state.sqlite'),
    RULES_SCHEMA,
    ALERT_SCHEMA,
    TICKET_SCHEMA,
    ACTION_SCHEMA,
    OUTBOX_SCHEMA,
  );
  const reading = new DatabaseSync(join(dir, 'state.sqlite'), { readOnly: true });
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const registry = createRegistry({ clock }, { path: join(dir, 'registry.sqlite') }).open();
  const metrics = tableOf();
  const history = createDuckdbHistory({ path: join(dir, 'history.duckdb'), metrics, unitOf: () => 'u' });
  await history.start();

  // Two registered devices; some of their readings are good, some are refused.
  const rule = { id: 'r1', title: 'A', when: { metric: 'a', last: true, above: 90 }, severity: 'low' };
  const control = cityControl({
    past: '10d',
    rules: [rule],
    files,
  });
  const { city } = parseCity(control);
  const { rules: fileRules } = parseRules(control, city!);
  registry.register(['d1', 'd2'].map((id) => ({ id, profile: 'bin', district: 'east' })));
  write(store, { kind: 'city', atMs: T0, body: control });
  write(store, { kind: 'devices', atMs: T0, body: registry.changesSince(0) });
  const payloads = Array.from({ length: 12 }, (_, i) => ({ ts: T0 + i, metrics: { a: i, b: 'low', z: 1 } }));
  write(store, { kind: 'messages', atMs: T0, messages: payloads.map((one) => native('d1', one, T0)) });
  write(store, { kind: 'messages', atMs: T0, messages: [native('d2', '{', T0), native('ghost', '{}', T0)] });
  const { intake, context } = openIntake(state);
  const outcomes = journal.after(0, 10).map((block) => intake.outcome(block));
  createLedgerStore(state).count(outcomes, createQuarantineStore(state).settle(outcomes));
  const rows = payloads.map(({ ts, metrics: { a } }) => ({
    device: { id: 'd1', index: 0, profile: 'bin', district: 'east' },
    metric: 'a',
    ts,
    value: a,
  }));
  await history.append([columnsOf(rows, metrics)], 4);

  const listeners = new Set<() => void>();
  const notifyAll = () => {
    for (const listener of listeners) listener();
  };
  const engine = createThreadEffects({ db: state, context, log, auditMs: 1e12 });
  const { effects, outbox } = engine;
  const events = createOutboxReader(reading);
  const now = <T>(work: (service: TicketService) => T) => transact(state, () => engine.at(clock.now(), work));
  const changed = (work: (service: TicketService) => Ticket[]): Ticket => {
    const ticket = now((service) => effects.publish(work(service)));
    notifyAll();
    return ticket;
  };
  /** What the engine's thread does to tickets, at once. */
  const tickets = {
    act: (request: ActionRequest) => changed((service) => service.act(request)),
    openTicket: (request: TicketRequest) => changed((service) => service.open(request)),
    splitTicket: (split: Split) => changed((service) => service.split(split)),
    rateTicket: (rating: Rating) => changed((service) => service.rate(rating)),
  };
  /** A record of the log is decided as soon as it is appended. */
  const actions = new ActionLog({
    async append(control) {
      store.appendControl('actions', Buffer.from(JSON.stringify(control)), clock.now(), null);
      decide();
    },
    timers: systemTimers,
    head: null,
  });
  const citizens = openCitizens(
    {
      dir,
      state: reading,
      engine: remoteOf({ openTicket: tickets.openTicket, rateTicket: tickets.rateTicket }),
      clock,
    },
    { sameWithinM: 100, reporterDays: 90 },
  );
  const quarantine = createQuarantineReader(reading);
  const status = async () => ({ history: Number.MAX_SAFE_INTEGER, replayed: { settled: 0, refusedAgain: 0 } });
  const append = async (control: Parameters<Parameters<typeof createReplays>[0]['append']>[0]) => {
    store.appendReplay(Buffer.from(JSON.stringify(control)), control.items.length, clock.now());
    return store.seq;
  };
  const replays = createReplays({ quarantine, append, status, clock });
  const ledger = createLedgerReader(reading, journal);
  const consumer = createRulesConsumer({
    ...{ db: state, journal, intake, context, clock, log },
    effects: (transition, given) => void effects.apply({ transition, ...given }),
    blocks: engine.blocks,
    onEffects() {
      notifyAll();
      const decided = engine.takeDecided();
      if (decided !== null) actions.decided(decided);
    },
  });
  atOnce(consumer.start());
  /** The rules take what is in the journal. */
  const decide = () => {
    while (consumer.step().length > 0);
  };
  decide();
  const book = createRuleRepository(
    {
      city: () => ({ control, city: city!, rules: fileRules }),
      records: createRuleRecordReader(reading),
      append: async (record) => {
        write(store, { kind: 'rule', atMs: clock.now(), body: record });
        decide();
        return store.seq;
      },
      taken: async () => consumer.cursor(),
      clock,
    },
    { head: 0 },
  );
  const trial = createTrial({
    city: () => city!,
    history,
    devicesIn: () => registry.list({ limit: 100, after: null }).items,
  });

  const backupFolder = join(dir, 'backups');
  mkdirSync(backupFolder);
  const backups = createBackups({
    // There is no broker here, and so no sessions to copy.
    sources: backupSources({ dir, copyHistory: (to) => history.copyTo(to) }).filter(
      ({ name }) => name !== 'sessions.sqlite',
    ),
    check: checkTogether,
    hold: async () => {},
    letGo: async () => {},
    about: () => ({ lamppost: '0.0.0', city: control.version }),
    folder: backupFolder,
    clock,
    log,
  });
  const deliveries = openDeliveries(join(dir, 'deliveries.sqlite'));
  const poster = createPoster({ clock }, { allowPrivate: false, timeoutMs: 5_000, mostKept: 1_024 });
  const notifier = createNotifier(
    {
      db: deliveries,
      outbox: events,
      poster,
      clock,
      timers: systemTimers,
      mailer: smtp === undefined ? null : createMailer({ clock }, { ...smtp, timeoutMs: 5_000 }),
      random: Math.random,
      log,
      city: () => city!,
    },
    { allowPrivate: false, publicUrl: 'https://lamppost.example' },
  );
  notifier.start();

  const isDevice = (id: string, secret: string) => {
    const credential = registry.credentialOf(id);
    return credential !== null && sameHash(Buffer.from(credential.hash), hashSecret(secret));
  };
  const webSockets: string[] = [];
  const deps: ApiDeps = {
    ...createStateDeps({
      ...{ clock, registry, state: reading, ledger, quarantine, replays, rules: book, actions },
      engine: {
        discard: async (ids, by, note) => createQuarantineStore(state).discard(ids, by, note, clock.now()),
      },
      city: () => city!,
      onAppended(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    }),
    log,
    clock,
    refusals: createRefusals(),
    city: shown ?? (() => city!),
    rules: {
      ...book,
      try: trial,
      explain: async (rule, group) => consumer.explain(rule, group),
      explainDevice: async (device) => consumer.explainDevice(device),
    },
    reloadCity: () => Promise.reject(new LamppostError('city', 'the city folder has mistakes:\nmetrics.yaml:1:1 no')),
    backtest,
    devices: {
      register: async (devices) => registry.register(devices),
      list: (query) => registry.list(query),
      get: (id) => registry.get(id),
      isDevice,
      revoke: async (id) => registry.revoke(id),
      rotate: async (id) => registry.rotate(id),
      connection: async () => null,
    },
    keys: {
      authenticate: (bearer) => (bearer === ADMIN ? ADMIN_KEY : registry.keyOf(bearer)),
      add: async (key) => registry.addKey(key),
      list: () => registry.keys(),
      revoke: async (id) => registry.revokeKey(id),
    },
    history,
    queries: createQueries(queryLimits, clock),
    ingest: async (device, secret, leaf, payload) => {
      if (!isDevice(device, secret)) return 'refused';
      const message = { ...native(device, payload.toString(), clock.now()), topic: `devices/${device}/${leaf}` };
      write(store, { kind: 'messages', atMs: clock.now(), messages: [message] });
      return 'acknowledged';
    },
    maxMessage: 4_096,
    citizens: citizens.deps,
    webhooks: remoteOf({ ...notifier.webhooks }),
    subscriptions: remoteOf({ ...notifier.subscriptions }),
    readiness: async () => ({
      ready: false,
      reasons: ['history: the disk is full'],
      parts: {
        devices: { state: 'ready' },
        rules: { state: 'catching-up', behindBlocks: 300, secondsLeft: 3 },
        history: { state: 'trouble', behindBlocks: 400, secondsLeft: null },
      },
    }),
    backups,
    metrics: async () => 'lamppost_up 1\n',
    acceptWebSocket(_stream, address) {
      webSockets.push(address);
    },
  };
  const api: Api = createApi(deps, {
    host: '127.0.0.1',
    port: 0,
    citizens: { publicUrl: null, requestsPerMinute: 0 },
    ...options,
    // Most tests ask more often than a person does.
    edge: { requests: null, strangers: null, wrongKeys: { perSecond: 1, burst: 10_000 }, ...options.edge },
  });
  await api.start();
  const base = `http://127.0.0.1:${api.port()}`;

  return {
    base,
    dir,
    deps,
    port: api.port(),
    listeners,
    /** The addresses whose WebSockets were accepted. */
    webSockets,
    /** Deletes all but the newest events. */
    prune(keep: number) {
      outbox.published(events.head());
      outbox.prune(keep);
    },
    /** Sends readings of d1, received at their own times; the rules read them at once. */
    send(...readings: readonly { ts: number; metrics: object }[]) {
      for (const one of readings)
        write(store, { kind: 'messages', atMs: one.ts, messages: [native('d1', one, one.ts)] });
      decide();
    },
    register: (id: string) => void registry.register([{ id, profile: 'bin', district: 'east' }]),
    key: (role: KeyRole, department: string | null = null) => registry.addKey({ name: role, role, department }).secret,
    keys: () => registry.keys(),
    citizens,
    /** People's and time's side of the tickets. */
    tickets,
    /** Something that a rule says of a device. */
    fire(transition: Transition, given: { rule: Rule; subject: Subject }) {
      transact(state, () => effects.apply({ transition, ...given, city: city! }));
    },
    /** Makes incidents, each of its own device, with an alert, a ticket and two events each. */
    incidents(count: number, changes: Partial<Transition> = {}) {
      state.exec('begin');
      const from = events.head();
      for (let n = 0; n < count; n++) {
        const transition = scene.transition(`${from + n + 1}.0`, 'firing', { group: `g${from + n}`, ...changes });
        const subject = { kind: 'device', device: { ...scene.device, id: transition.group } } as const;
        effects.apply({ transition, rule: scene.rule, subject, city: scene.city });
      }
      state.exec('commit');
      for (const listener of listeners) listener();
    },
    /**
     * Sends a request with a key (default: the admin's). Throws where the response does not conform to openapi.json.
     */
    async fetch(path: string, init: RequestInit & { key?: string | null } = {}): Promise<Response> {
      const { key = ADMIN, ...rest } = init;
      const headers = { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...rest.headers };
      const response = await fetch(base + path, { ...rest, headers });
      await asDocumented(base, path, rest.method ?? 'get', response.clone());
      return response;
    },
    /** Does what is due at a moment. */
    due(nowMs: number) {
      transact(state, () => engine.due(nowMs));
      notifyAll();
    },
    async stop() {
      await api.stop();
      await replays.stop();
      await backups.stop();
      await notifier.stop(1_000);
      await history.stop();
      for (const one of [reading, deliveries, state, store, journal, registry, citizens]) one.close();
    },
  };
}

/** Functions as another thread sees them. */
function remoteOf<T extends Offered>(functions: T): Remote<T> {
  const names = Object.keys(functions);
  const call =
    (name: string) =>
    async (...args: never[]) =>
      functions[name]!(...args);
  return Object.fromEntries(names.map((name) => [name, call(name)])) as unknown as Remote<T>;
}

let checker: ReturnType<typeof openApiChecker> | null = null;

/** Checks every JSON response that a test gets against the document. */
async function asDocumented(base: string, path: string, method: string, response: Response): Promise<void> {
  const type = response.headers.get('content-type') ?? '';
  if (!/^application\/(problem\+)?json/.test(type) || path === '/openapi.json' || path === '/asyncapi.json') return;
  checker ??= openApiChecker((await (await fetch(`${base}/openapi.json`)).json()) as OpenApiDocument);
  const said = { method: method.toLowerCase(), path, status: response.status, type, text: await response.text() };
  const faults = checker(said);
  if (faults.length > 0) throw new Error(`does not conform to the document: ${faults.join('; ')}`);
}

/** What `openApi` returns. */
export type TestApi = Awaited<ReturnType<typeof openApi>>;
