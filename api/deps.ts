import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { AuditReader, Caller, Command } from '../actions/index.ts';
import type { ClientRecord } from '../broker/index.ts';
import type { Cleaning, Media, Reception, StoredReporter } from '../citizens/index.ts';
import type { City, Clock, HistoryStore, Ledger, Ticket } from '../domain/index.ts';
import type { EventQuery, OutboxReader } from '../events/index.ts';
import type { createQuarantineReader, createReplays } from '../ingest/index.ts';
import type { Subscriptions, Webhooks } from '../notify/index.ts';
import type { DeviceService, KeyService } from '../registry/index.ts';
import type { AlertReader, Backtest, createTrial, RuleRepository, RulesConsumer } from '../rules/index.ts';
import type { Backups } from '../store/index.ts';
import type {
  createPublicTickets,
  createWaitingReader,
  Oversight,
  Rating,
  RequestReader,
  Silences,
  TicketReader,
} from '../tickets/index.ts';
import type { Refusals } from './edge/index.ts';
import type { Queries } from './queries.ts';
import type { Readiness } from './readiness.ts';

/** The same functions with results that come later: another thread or the journal has them. */
type Later<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** What a command says. */
type Asked<D extends Command['do']> = Omit<Extract<Command, { readonly do: D }>, 'do'>;

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

/** The services behind the API. Each does what its own type says; every change is on disk when its promise resolves. */
export interface ApiDeps {
  readonly log: Logger;
  readonly clock: Clock;
  /** Counts what is refused. */
  readonly refusals: Refusals;
  city(): City;
  readonly rules: RuleRepository &
    Later<Pick<RulesConsumer, 'explain' | 'explainDevice'>> & { readonly try: ReturnType<typeof createTrial> };
  readonly backtest: Backtest;
  /** Null where no message of the device arrived. */
  ledger(device?: string): Promise<Ledger | null>;
  readonly devices: DeviceService & {
    /** What the broker knows of a device since its start; null where it has not seen it. */
    connection(id: string): Promise<ClientRecord | null>;
  };
  readonly keys: KeyService;
  readonly history: Pick<HistoryStore, 'read' | 'latest' | 'exportParquet'>;
  /** What the queries of each key may take of the history. */
  readonly queries: Queries;
  readonly quarantine: Pick<Quarantine, 'list' | 'get' | 'usage'> & {
    readonly replay: Replays['start'];
    readonly replayJob: Replays['get'];
    discard(ids: readonly string[], by: string, note: string): Promise<number>;
  };
  readonly backups: Pick<Backups, 'begin' | 'last'>;
  /** Throws `city` with every mistake of the folder; the city in force then stays in force. */
  reloadCity(): Promise<{ changed: boolean; version: string }>;
  /**
   * Journals a message that a device sent over HTTP, as from `devices/{device}/{leaf}`. Throws where the journal does
   * not take it.
   */
  ingest(device: string, secret: string, leaf: string, payload: Buffer): Promise<'acknowledged' | 'refused'>;
  /** The largest message, bytes. */
  readonly maxMessage: number;
  readonly alerts: Pick<AlertReader, 'list' | 'get'>;
  readonly citizens: Pick<Reception, 'report'> &
    Pick<Cleaning, 'clean'> & {
      rate(rating: Rating): Promise<Ticket>;
      readonly requests: RequestReader;
      readonly photo: Media['open'];
      reporter(ticket: string): StoredReporter | null;
      /** Deletes the reporter's name and contacts; false where there are none. */
      forget(ticket: string): boolean;
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
    /** Calls the listener after events were added; returns the function that stops this. */
    onAppended(listener: () => void): () => void;
  };
  readonly webhooks: Later<Webhooks>;
  readonly subscriptions: Later<Subscriptions>;
  readiness(): Promise<Readiness>;
  /** Text in Prometheus' format. */
  metrics(): Promise<string>;
  /** Takes the bytes of one MQTT connection over WebSocket. */
  acceptWebSocket(stream: Duplex, remoteAddress: string): void;
}
