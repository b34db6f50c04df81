import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { AuditReader, Caller, Command, PersonCommand, Results } from '../actions/index.ts';
import type { Bridges } from '../bridges/index.ts';
import type { ClientRecord } from '../broker/index.ts';
import type { Cleaning, Media, ProgressSender, Reception, Shown, StoredReporter } from '../citizens/index.ts';
import type { SeenNode } from '../cluster/index.ts';
import type { CommandReader } from '../commands/index.ts';
import type {
  City,
  Clock,
  DesiredState,
  DeviceCommand,
  HistoryStore,
  Ledger,
  ShapeOf,
  Ticket,
} from '../domain/index.ts';
import type { EventQuery, OutboxReader } from '../events/index.ts';
import type {
  createQuarantineReader,
  createReplays,
  DeviceClock,
  FormatTrial,
  FormatTrialReport,
  Imports,
  ReplayJob,
  ReplayRequest,
  TextOf,
} from '../ingest/index.ts';
import type { Counters } from '../limits/index.ts';
import type {
  DeliveryDetail,
  EmailSettings,
  EventRange,
  NewSubscription,
  NewWebhookSchema,
  RotatedWebhookSchema,
  Subscription,
  SubscriptionDetail,
  Subscriptions,
  WebhookDetail,
  WebhookSettings,
  Webhooks,
} from '../notify/index.ts';
import type {
  DeviceService,
  KeyService,
  OneTime,
  Passwords,
  PeopleReader,
  SignedIn,
  SignIn,
} from '../registry/index.ts';
import type {
  AlertReader,
  Backtest,
  createSuggest,
  createTrial,
  RuleRepository,
  RulesConsumer,
} from '../rules/index.ts';
import type { Backups } from '../store/index.ts';
import type {
  createPublicTickets,
  createWaitingReader,
  Oversight,
  RequestReader,
  Silences,
  TicketReader,
} from '../tickets/index.ts';
import type { Refusals } from './edge/index.ts';
import type { Oidc } from './oidc.ts';
import type { Queries } from './queries.ts';
import type { Readiness } from './readiness.ts';
import type { Responded } from './responded.ts';

/** The same functions with results that come later: another thread or the journal has them. */
type Later<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** What a command says. */
type Asked<D extends Command['do']> = Omit<Extract<Command, { readonly do: D }>, 'do'>;

/** What people do with webhooks and with subscriptions. Each throws `not-found` where there is no such receiver. */
interface SetReceivers<Detail> {
  remove(id: string, caller: Caller): Promise<void>;
  /** Continues where it stopped, or, with `skip`, at the next event: deliveries that wait are given up. */
  enable(id: string, missed: 'deliver' | 'skip', caller: Caller): Promise<Detail>;
  disable(id: string, caller: Caller): Promise<Detail>;
  redeliver(id: string, delivery: string, caller: Caller): Promise<DeliveryDetail>;
}

type Quarantine = ReturnType<typeof createQuarantineReader>;
type Replays = ReturnType<typeof createReplays>;

/** How citizens' requests are taken and shown. */
export interface CitizenOptions {
  /** What public addresses of this server begin with; null: `http://localhost` and the port. */
  readonly publicUrl: string | null;
  /**
   * The number of requests that may come from one address with one key in a minute; 0: no limit. Ten times as many may
   * come with the key altogether, a quarter of them from one `device_id` or `account_id`.
   */
  readonly requestsPerMinute: number;
}

/** People: who they are, what changes them, and their sessions. */
export interface People extends Pick<PeopleReader, 'get' | 'list'> {
  /** Submits a command; resolves to what the engine decided, once that is on disk. */
  change<C extends PersonCommand>(command: C, caller: Caller): Promise<Results[C['do']]>;
  readonly signIn: SignIn;
  readonly sessions: Pick<SignedIn, 'get' | 'list' | 'end' | 'endAll'>;
  readonly oneTime: Pick<OneTime, 'makeLink' | 'useCode'>;
  readonly passwords: Passwords;
  /** Seals the secret of an authenticator. */
  seal(secret: string): string;
}

/** The services behind the API. Each does what its own type says; every change is on disk when its promise resolves. */
export interface ApiDeps {
  readonly log: Logger;
  readonly clock: Clock;
  /** Counts what is refused. */
  readonly refusals: Refusals;
  /** Counts wrong keys together with the other nodes of a cluster. */
  readonly counters: Counters;
  /** Called with each response that has left. */
  responded(response: Responded): void;
  city(): City;
  readonly rules: RuleRepository<Caller> &
    Later<Pick<RulesConsumer, 'explain' | 'explainDevice'>> & {
      readonly try: ReturnType<typeof createTrial>;
      readonly suggest: ReturnType<typeof createSuggest>;
    };
  readonly backtest: Backtest;
  /** Shows what a message becomes; a codec runs in a thread of its own. */
  readonly tryFormat: (city: City, trial: FormatTrial) => Promise<FormatTrialReport>;
  /** Null where no message of the device arrived. */
  ledger(device?: string): Promise<Ledger | null>;
  readonly devices: DeviceService<Caller> & {
    /** What the broker knows of a device since its start; null where it has not seen it. */
    connection(id: string): Promise<ClientRecord | null>;
    /** Null where its clock is right, or differs by no steady offset. */
    clock(id: string): DeviceClock | null;
  };
  /** Commands to devices, and what each is wanted to be. */
  readonly commands: Pick<CommandReader, 'list' | 'get' | 'twin'> & {
    send(request: Asked<'command.send'>, caller: Caller): Promise<DeviceCommand>;
    run(request: Asked<'command.run'>, caller: Caller): Promise<DeviceCommand>;
    cancel(request: Asked<'command.cancel'>, caller: Caller): Promise<DeviceCommand>;
    desire(request: Asked<'desired.set'>, caller: Caller): Promise<DesiredState>;
  };
  readonly keys: KeyService<Caller>;
  readonly people: People;
  /** Connections to other brokers. */
  readonly bridges: Pick<Bridges, 'list'>;
  /** The nodes of the cluster as this one sees them; null on one machine. */
  readonly cluster: () => { readonly node: string; readonly nodes: readonly SeenNode[] } | null;
  /** The provider at which people sign in; null: none. */
  readonly oidc: Oidc | null;
  readonly history: Pick<HistoryStore, 'read' | 'latest' | 'exportParquet'>;
  /** Returns the text that a value of the history stands for. */
  readonly textOf: TextOf;
  readonly imports: Pick<Imports<Caller>, 'run'>;
  /** What the queries of each key may take of the history. */
  readonly queries: Queries;
  readonly quarantine: Pick<Quarantine, 'list' | 'get' | 'groups' | 'usage' | 'holdersOf'> & {
    replay(chosen: ReplayRequest, caller: Caller): Promise<ReplayJob>;
    readonly replayJob: Replays['get'];
    readonly cancelReplay: Replays['cancel'];
    /** Returns how many entries it marked. */
    discard(ids: readonly string[], note: string, caller: Caller): Promise<number>;
  };
  readonly backups: Pick<Backups, 'begin' | 'last'>;
  /** Throws `city` with every mistake of the folder; the city in force then stays in force. */
  reloadCity(caller: Caller): Promise<{ changed: boolean; version: string }>;
  /**
   * Journals a message that a device or key sent over HTTP, as from the topic. Throws where the journal does not take
   * it, or the topic is not the sender's.
   */
  ingest(sender: string, secret: string, topic: string, payload: Buffer): Promise<'acknowledged' | 'refused'>;
  /** The largest message, bytes. */
  readonly maxMessage: number;
  readonly alerts: Pick<AlertReader, 'list' | 'get'>;
  readonly citizens: Pick<Reception, 'report' | 'rate' | 'say' | 'remove'> &
    Pick<Cleaning, 'clean'> & {
      readonly requests: RequestReader;
      /** Who follows their requests by mail or SMS. */
      readonly progress: Pick<ProgressSender, 'channels' | 'follow' | 'get' | 'confirm' | 'end'>;
      /** Puts what citizens wrote into what is shown. */
      readonly shown: Shown;
      readonly photo: Media['open'];
      /** Returns the services of the requests that have a photo. */
      servicesWith(mediaUrl: string): readonly string[];
      reporter(ticket: Ticket): StoredReporter | null;
      /** Counts removals, and what came from other nodes: what was shown before may have changed. */
      rewrites(): number;
    };
  /** Firing alerts whose ticket waits. */
  readonly held: ReturnType<typeof createWaitingReader> & {
    readonly silencedBy: Silences<Caller>['matching'];
  };
  readonly tickets: Omit<TicketReader, 'openCount'> & {
    act(request: Asked<'ticket.act'>, caller: Caller): Promise<Ticket>;
    open(request: Asked<'ticket.open'>, caller: Caller): Promise<Ticket>;
    split(request: Asked<'ticket.split'>, caller: Caller): Promise<Ticket>;
  };
  readonly audit: Pick<AuditReader, 'page'> & {
    /** Writes what is about to be done into the audit trail; resolves once that is on disk. */
    note(action: string, target: string, caller: Caller): Promise<void>;
  };
  readonly silences: Omit<Silences<Caller>, 'matching'>;
  readonly oversight: Oversight;
  readonly publicTickets: ReturnType<typeof createPublicTickets>;
  readonly events: Omit<OutboxReader, 'page'> & {
    page(query: Omit<EventQuery, 'after'> & { readonly after: string | null }): ReturnType<OutboxReader['page']>;
    /** Whether this is a node of a cluster: others have the same events. */
    readonly isShared: boolean;
    /** Calls the listener after events were added; returns the function that stops this. */
    onAppended(listener: () => void): () => void;
  };
  readonly webhooks: Later<Pick<Webhooks, 'list' | 'get' | 'deliveries' | 'delivery'>> &
    SetReceivers<WebhookDetail> & {
      /**
       * Adds a webhook that begins at the next event, or after the event of this number. Returns the secret, which is
       * shown only here. Throws `invalid` for a private address.
       */
      create(
        settings: WebhookSettings,
        after: number | null,
        caller: Caller,
      ): Promise<ShapeOf<typeof NewWebhookSchema>>;
      /** Changes the settings that are given. Deliveries that wait go to the new address unchanged. */
      change(id: string, settings: Partial<WebhookSettings>, caller: Caller): Promise<WebhookDetail>;
      /** Adds a new secret. The one before it signs beside it for a day. */
      rotate(id: string, caller: Caller): Promise<ShapeOf<typeof RotatedWebhookSchema>>;
      ping(id: string, caller: Caller): Promise<DeliveryDetail>;
      redeliverRange(id: string, range: EventRange, caller: Caller): Promise<number>;
    };
  readonly subscriptions: Later<Pick<Subscriptions, 'list' | 'get' | 'deliveries' | 'delivery'>> &
    SetReceivers<SubscriptionDetail> & {
      /**
       * Subscribes from the next event on. Throws `invalid` where there is no such webhook, or no mail server is set.
       */
      create(subscription: NewSubscription, caller: Caller): Promise<Subscription>;
      /** Changes the settings that are given. Events that are held for a digest follow the new hours. */
      change(id: string, settings: Partial<EmailSettings>, caller: Caller): Promise<SubscriptionDetail>;
      test(id: string, caller: Caller): Promise<DeliveryDetail>;
    };
  readiness(): Promise<Readiness>;
  /** How old what this node reads is, ms; null: it follows the log. */
  readonly ageMs: () => number | null;
  /** Text in Prometheus' format. */
  metrics(): Promise<string>;
  /** Takes the bytes of one MQTT connection over WebSocket. */
  acceptWebSocket(stream: Duplex, remoteAddress: string): void;
}
