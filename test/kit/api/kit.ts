import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino, { type Logger } from 'pino';
import { ACTION_SCHEMA, ActionLog, type ActionResult, type Caller, type Command } from '../../../actions/index.ts';
import { errorOf } from '../../../actions/result.ts';
import {
  type Api,
  type ApiDeps,
  type ApiOptions,
  createApi,
  createQueries,
  createRefusals,
  type QueryLimits,
  type Responded,
} from '../../../api/index.ts';
import { createStateDeps } from '../../../app/api-deps.ts';
import { backupSources, checkTogether } from '../../../app/backup.ts';
import { openCitizens } from '../../../app/citizen-deps.ts';
import { openPeople } from '../../../app/people-deps.ts';
import { createReceiverDeps } from '../../../app/receiver-deps.ts';
import { ruleActions } from '../../../app/recorded.ts';
import { createThreadEffects } from '../../../app/threads/effects.ts';
import type { Offered, Remote } from '../../../app/threads/rpc.ts';
import { CITIZENS_FILE, createWords } from '../../../citizens/index.ts';
import { parseCity } from '../../../city-model/index.ts';
import { COMMAND_SCHEMA } from '../../../commands/index.ts';
import {
  type Clock,
  DAY_MS,
  type Key,
  type KeyRole,
  LamppostError,
  type LoginsFailing,
  type Rule,
  type Subject,
  systemClock,
  systemTimers,
  type Ticket,
  type Transition,
  unsteppedClock,
} from '../../../domain/index.ts';
import { createOutbox, createOutboxReader, OUTBOX_SCHEMA } from '../../../events/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import {
  bodyOfPart,
  createClockReader,
  createImports,
  createLedgerReader,
  createLedgerStore,
  createQuarantineReader,
  createQuarantineStore,
  createReplays,
  createRuleRecordReader,
  importParts,
  tryFormat,
} from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { COUNTED_HERE, type Counters } from '../../../limits/index.ts';
import {
  createDefinitionReader,
  createIncidentReader,
  createMailer,
  createNotifier,
  createPoster,
  noMailer,
  openDeliveries,
  type Poster,
  RECEIVER_SCHEMA,
  type SmtpSettings,
} from '../../../notify/index.ts';
import {
  createDeviceService,
  createKeyService,
  Draws,
  hashSecret,
  PEOPLE_SCHEMA,
  REGISTRY_SCHEMA,
} from '../../../registry/index.ts';
import {
  ALERT_SCHEMA,
  createRuleRepository,
  createRulesConsumer,
  createSuggest,
  createTrial,
  parseRules,
  RULES_SCHEMA,
} from '../../../rules/index.ts';
import { atOnce, createBackups, transact } from '../../../store/index.ts';
import { type ActionRequest, type Split, TICKET_SCHEMA } from '../../../tickets/index.ts';
import { columnsOf, tableOf } from '../history/query-reference.ts';
import { cityControl, native, openIntake, openState, write } from '../ingest/intake.ts';
import { sealer } from '../notify/people.ts';
import { type OpenApiDocument, openApiChecker } from '../openapi.ts';
import { testRegistry } from '../registry.ts';
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
  /** The gateway for SMS. */
  readonly sms?: { readonly url: string; readonly secret: string };
  readonly queryLimits?: QueryLimits;
  /** What it counts together with other nodes. */
  readonly counters?: Counters;
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
    sms,
    queryLimits = QUERY_LIMITS,
    counters = COUNTED_HERE,
  }: Replaced = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-api-'));
  const refusals = createRefusals();
  const state = openState(
    join(dir, 'state.sqlite'),
    REGISTRY_SCHEMA,
    RULES_SCHEMA,
    ALERT_SCHEMA,
    TICKET_SCHEMA,
    COMMAND_SCHEMA,
    PEOPLE_SCHEMA,
    ACTION_SCHEMA,
    OUTBOX_SCHEMA,
    RECEIVER_SCHEMA,
  );
  const reading = new DatabaseSync(join(dir, 'state.sqlite'), { readOnly: true });
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const registry = testRegistry(state, clock);
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
  write(store, { kind: 'devices', atMs: T0, body: registry.read.devicesSince(0) });
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
    citizens.progress.wake();
  };
  const engine = createThreadEffects({ db: state, context, log, auditMs: 1e12, quarantineMs: 1e12 });
  const { effects } = engine;
  const events = createOutboxReader(reading);
  /** What the engine decided, by the id of the action. */
  const results = new Map<string, ActionResult>();
  let acted = 0;
  const act = (command: Command & { readonly do: string }, actor: ActionRequest['actor']): Ticket => {
    const id = `kit-${++acted}`;
    const items = [{ id, actor, address: null, key: null, command }];
    store.appendControl('actions', Buffer.from(JSON.stringify({ items, anchor: null })), clock.now(), null);
    decide();
    const { value, error } = results.get(id)!;
    if (error !== null) throw errorOf(error);
    return value as Ticket;
  };
  const OPERATOR = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
  /** What people do to tickets: a record of the log, decided at once. */
  const tickets = {
    act: ({ actor, ...request }: ActionRequest) => act({ do: 'ticket.act', ...request }, actor),
    open: (wanted: Omit<Extract<Command, { do: 'ticket.open' }>, 'do'>) =>
      act({ do: 'ticket.open', ...wanted }, OPERATOR),
    split: ({ actor, ...split }: Split) => act({ do: 'ticket.split', ...split }, actor),
  };
  /** A record of the log is decided as soon as it is appended. */
  const actions = new ActionLog({
    async append(control) {
      store.appendControl('actions', Buffer.from(JSON.stringify(control)), clock.now(), null);
      decide();
    },
    timers: systemTimers,
    clock,
    head: null,
  });
  const [poster, ownPoster] = [false, true].map((allowPrivate) =>
    createPoster({ clock }, { allowPrivate, timeoutMs: 5_000, mostKept: 1_024 }),
  ) as [Poster, Poster];
  const mailer = smtp === undefined ? null : createMailer({ clock }, { ...smtp, timeoutMs: 5_000 });
  const citizens = openCitizens(
    {
      ...{ dir, state: reading, actions, decidedToMs: async () => clock.now(), clock: unsteppedClock(clock) },
      city: () => city!,
      ...{ log, publicUrl: 'https://lamppost.example', smtp: smtp ?? null, sms: sms ?? null },
      notify: {
        mail: (envelope) => (mailer ?? noMailer).send(envelope, AbortSignal.timeout(5_000)),
        post: (post) => ownPoster.post(post, AbortSignal.timeout(5_000)),
      },
    },
    { sameWithinM: 100, reporterDays: 90 },
  );
  const failing: LoginsFailing[] = [];
  const onFailing = (event: LoginsFailing) => void failing.push(event);
  const openedBy = { dir, state: reading, clock, once: null, actions, sealer, onFailing, counters };
  const people = openPeople(openedBy, { idleMs: DAY_MS });
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
    checksum: engine.checksum,
    onEffects() {
      notifyAll();
      const decided = engine.takeDecided();
      if (decided === null) return;
      for (const result of decided.results) results.set(result.id, result);
      actions.decided(decided);
    },
  });
  atOnce(consumer.start());
  /** Parts of imports are in the journal and decided; nothing stores them. */
  const imports = createImports<Caller>({
    read: async ({ bytes, format, ...how }) => importParts(bytes, { ...how, format: format as 'csv' }),
    async append(part, { file, stored }, caller) {
      const { id, rows } = part.header;
      const command =
        stored === undefined
          ? ({ do: 'readings.import', part: id, rows, file } as const)
          : ({ do: 'readings.recompute', rows, ...stored } as const);
      const report = await actions.accompany(command, { ...caller, key: null }, async (action) => {
        store.appendControl('import', bodyOfPart(part, action), clock.now(), null);
        decide();
      });
      return { report, seq: store.seq };
    },
    stored: async () => Number.MAX_SAFE_INTEGER,
  });
  /** The rules take what is in the journal. */
  const decide = () => {
    while (consumer.step().length > 0);
  };
  decide();
  function sendAs(device: string, ...readings: readonly { ts: number; metrics: object }[]): void {
    for (const one of readings)
      write(store, { kind: 'messages', atMs: one.ts, messages: [native(device, one, one.ts)] });
    decide();
  }
  const book = createRuleRepository({
    city: () => ({ control, city: city!, rules: fileRules }),
    records: createRuleRecordReader(reading),
    write: ruleActions(actions),
  });
  const trialParts = {
    city: () => city!,
    history,
    devicesIn: () => registry.read.list({ limit: 100, after: null }).items,
  };

  const backupFolder = join(dir, 'backups');
  mkdirSync(backupFolder);
  const backups = createBackups({
    // There is no broker here, and so no sessions to copy.
    sources: backupSources({ dir, copyHistory: (to) => history.copyTo(to) }).filter(
      ({ name }) => name !== 'sessions.sqlite',
    ),
    check: checkTogether,
    hold: async () => {},
    onDone() {},
    letGo: async () => {},
    about: () => ({ lamppost: '0.0.0', city: control.version }),
    folder: backupFolder,
    clock,
    log,
  });
  const deliveries = openDeliveries(join(dir, 'deliveries.sqlite'));
  const words = createWords(join(dir, CITIZENS_FILE));
  const notifier = createNotifier(
    {
      db: deliveries,
      outbox: events,
      definitions: createDefinitionReader(reading),
      incidentOf: createIncidentReader(reading),
      wordsOf: words.of,
      sealer,
      poster,
      clock,
      timers: systemTimers,
      mailer,
      random: Math.random,
      log,
      city: () => city!,
    },
    { publicUrl: 'https://lamppost.example' },
  );
  notifier.start();

  const draws = new Draws(clock);
  const ended = new Set<(id: string) => void>();
  const registryParts = {
    registry: registry.read,
    draw: (caller: Caller) => draws.of(caller),
    submit: actions.submit.bind(actions),
    async follow() {
      for (const id of registry.read.credentialsSince(0).remove) for (const listener of ended) listener(id);
    },
  };
  const devices = createDeviceService({ ...registryParts, city: () => city! });
  const webSockets: string[] = [];
  const responded: Responded[] = [];
  const queried: number[] = [];
  const deps: ApiDeps = {
    ...createStateDeps({
      ...{ clock, registry: registry.read, state: reading, ledger, quarantine, replays, rules: book, actions },
      city: () => city!,
      isShared: false,
      onAppended(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    }),
    log,
    clock,
    refusals,
    counters,
    responded: (response) => void responded.push(response),
    city: shown ?? (() => city!),
    rules: {
      ...book,
      try: createTrial(trialParts),
      suggest: createSuggest({
        ...trialParts,
        devicesOf: (profile, limit) => registry.read.list({ limit, after: null, profile }).items,
      }),
      explain: async (rule, group) => consumer.explain(rule, group),
      explainDevice: async (device) => consumer.explainDevice(device),
    },
    reloadCity: () => Promise.reject(new LamppostError('city', 'the city folder has mistakes:\nmetrics.yaml:1:1 no')),
    backtest,
    tryFormat: async (city, trial) => tryFormat(city, trial),
    devices: { ...devices, connection: async () => null, clock: createClockReader(reading) },
    keys: createKeyService({
      ...registryParts,
      admin: { key: ADMIN_KEY, hash: hashSecret(ADMIN) },
      used: () => {},
      onEnded: (listener) => void ended.add(listener),
    }),
    history,
    imports,
    bridges: { list: () => [] },
    cluster: () => null,
    queries: createQueries(queryLimits, clock, (seconds) => void queried.push(seconds)),
    ingest: async (device, secret, topic, payload) => {
      if (devices.senderOf(device, secret) === null) return 'refused';
      const message = { ...native(device, payload.toString(), clock.now()), topic };
      write(store, { kind: 'messages', atMs: clock.now(), messages: [message] });
      return 'acknowledged';
    },
    maxMessage: 4_096,
    citizens: citizens.deps,
    people: people.deps,
    oidc: null,
    ...createReceiverDeps({
      ...{
        actions,
        webhooks: remoteOf({ ...notifier.webhooks }),
        subscriptions: remoteOf({ ...notifier.subscriptions }),
      },
      ...{ sealer, allowPrivate: false, canMail: smtp !== undefined },
    }),
    ageMs: () => null,
    readiness: async () => ({
      notes: [],
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
    tlsPort: api.tlsPort(),
    renew: api.renew,
    listeners,
    /** What was refused, by reason. */
    refusals,
    /** The responses that have left, and what queries of the history took, seconds. */
    responded,
    queried,
    /** The addresses whose WebSockets were accepted. */
    webSockets,
    /** Deletes all but the newest events. */
    prune(keep: number) {
      createOutbox(state).prune(keep);
    },
    /** Sends readings of a device (d1), received at their own times; the rules read them at once. */
    sendAs,
    send: (...readings: readonly { ts: number; metrics: object }[]) => sendAs('d1', ...readings),
    /** Registers a device; the engine knows it. */
    registerAs(id: string, profile: string) {
      const since = registry.read.devicesSince(0)!.version;
      registry.register([{ id, profile, district: 'east' }]);
      write(store, { kind: 'devices', atMs: clock.now(), body: registry.read.devicesSince(since) });
      decide();
    },
    /** A device sends a message that is refused; it is in the quarantine. */
    sendRaw(id: string, payload: string) {
      const atMs = clock.now();
      write(store, { kind: 'messages', atMs, messages: [native(id, payload, atMs)] });
      const refused = journal.after(store.seq - 1, 10).map((block) => intake.outcome(block));
      createLedgerStore(state).count(refused, createQuarantineStore(state).settle(refused));
      decide();
    },
    register: (id: string) => void registry.register([{ id, profile: 'bin', district: 'east' }]),
    key: (role: KeyRole, department: string | null = null) => registry.addKey({ name: role, role, department }).secret,
    keys: () => registry.read.keys(),
    /** Replaces and returns the secret of a device. */
    rotate: (id: string) => registry.rotate(id),
    citizens,
    /** Events of logins of people that fail. */
    failing,
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
    /** Notifications take what is in the outbox. */
    notify: () => notifier.appended(),
    async stop() {
      await api.stop();
      await replays.stop();
      await backups.stop();
      await notifier.stop(1_000);
      await history.stop();
      await citizens.close();
      words.close();
      ownPoster.stop();
      for (const one of [reading, deliveries, state, store, journal, people]) one.close();
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
