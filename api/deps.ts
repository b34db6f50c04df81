import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Photo, Reception, StoredReporter } from '../citizens/index.ts';
import type {
  Alert,
  City,
  Clock,
  Device,
  HistoryStore,
  Key,
  KeyRole,
  Ledger,
  Page,
  Quarantined,
  Severity,
  Ticket,
} from '../domain/index.ts';
import type { EventFilter, NumberedEvent } from '../events/index.ts';
import type { QuarantineFilter, ReplayJob, ReplayRequest } from '../ingest/index.ts';
import type { Subscriptions, Webhooks } from '../notify/index.ts';
import type { Backtest, Explanation, RuleRepository, TrialReport, TrialRequest } from '../rules/index.ts';
import type { BackupJob } from '../store/index.ts';
import type {
  ActionRequest,
  Oversight,
  PublicQuery,
  PublicTicket,
  Rating,
  Request,
  RequestReader,
  ShownSilence,
  Silence,
  Split,
  TicketReader,
  WaitingTicket,
  WaitReason,
} from '../tickets/index.ts';

/** One page of a list. */
export interface Paging {
  readonly limit: number;
  readonly after: string | null;
}

type Registered = Device & { readonly registeredAt: string };

/** Functions that answer later, since another thread does. */
type Later<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};
/** How citizens' requests are taken and shown. */
export interface CitizenOptions {
  /** What addresses of this server begin with, as the outside has it; null: as each request has it. */
  readonly publicUrl: string | null;
  /** How many requests each key may send in a minute; 0: no limit. */
  readonly requestsPerMinute: number;
}

/** All that the API reads and asks for; plain data in and out, so that it knows no store. */
export interface ApiDeps {
  readonly log: Logger;
  readonly clock: Clock;
  city(): City;
  readonly rules: RuleRepository & {
    /** Throws `invalid` where a message is not the device's. */
    try(request: TrialRequest): Promise<TrialReport>;
    /** Why the rule's alert of the group stands as it does; null where the engine has no such rule. */
    explain(rule: string, group: string): Promise<Explanation | null>;
    explainDevice(device: string): Promise<Explanation[]>;
  };
  /** Throws `invalid` (times); cancelled by the signal. */
  readonly backtest: Backtest;
  ledger(device?: string): Promise<Ledger | null>;
  readonly devices: {
    /** All or none. Throws `conflict` for known ids, `invalid` for an unknown profile or district. */
    register(devices: readonly Device[]): Promise<(Device & { secret: string })[]>;
    list(query: Paging & { profile?: string; district?: string }): Page<Registered>;
    get(id: string): Registered | null;
    revoke(id: string): Promise<boolean>;
    rotate(id: string): Promise<string | null>;
  };
  readonly keys: {
    authenticate(bearer: string): Key | null;
    add(key: { name: string; role: KeyRole; department: string | null }): Promise<Key & { secret: string }>;
    list(): readonly Key[];
    revoke(id: string): Promise<boolean>;
  };
  readonly history: Pick<HistoryStore, 'query' | 'latest' | 'exportParquet'>;
  readonly quarantine: {
    list(query: Paging & QuarantineFilter): Page<Quarantined>;
    /** With its payload decoded as far as it goes. */
    get(id: string): (Quarantined & { decoded: unknown }) | null;
    /** Begins a replay; throws `conflict` while another one runs. */
    replay(request: ReplayRequest): ReplayJob;
    replayJob(id: string): ReplayJob | null;
    discard(ids: readonly string[], by: string, note: string): Promise<number>;
  };
  readonly backups: {
    /** Begins one; throws `conflict`, `invalid` (the path). */
    start(to?: string): BackupJob;
    last(): BackupJob | null;
  };
  /** Throws `city` with every mistake where the folder has some; the old one stays in force. */
  reloadCity(): Promise<{ changed: boolean; version: string }>;
  /** A message of a device that came over HTTP, to `devices/{device}/{leaf}`; resolves after its commit. Throws where the journal does not take it. */
  ingest(device: string, secret: string, leaf: string, payload: Buffer): Promise<'acknowledged' | 'refused'>;
  /** Largest message, bytes. */
  readonly maxMessage: number;
  readonly alerts: {
    list(
      query: Paging & { state?: Alert['state']; rule?: string; district?: string; severity?: Severity },
    ): Page<Alert>;
    get(rule: string, group: string): Alert | null;
  };
  readonly citizens: {
    report: Reception['report'];
    /** Throws `not-found`, and refusals of `TICKET_REFUSALS`. */
    rate(rating: Rating): Promise<Ticket>;
    readonly requests: RequestReader;
    photo(name: string): Promise<Photo | null>;
    reporter(ticket: string): StoredReporter | null;
    /** False where nobody is remembered. */
    forget(ticket: string): boolean;
  };
  /** Alerts of the answers carry what keeps their ticket back, and what silences them. */
  readonly held: {
    /** Firing alerts whose ticket waits. */
    list(query: Paging & { reason?: WaitReason; seenBy: string | null }): Page<WaitingTicket>;
    of(alert: Pick<Alert, 'rule' | 'group'>): WaitingTicket | null;
    /** Ids of the silences that match the alert of a ticket, now. */
    silencedBy(ticket: Ticket): readonly string[];
  };
  readonly tickets: Omit<TicketReader, 'openCount'> & {
    /** Throw `not-found`, and refusals of `TICKET_REFUSALS`; what they answer is on disk. */
    act(request: ActionRequest): Promise<Ticket>;
    open(request: Omit<Request, 'id'>): Promise<Ticket>;
    split(split: Split): Promise<Ticket>;
  };
  readonly silences: {
    list(query: Paging & { ended: boolean }): Page<ShownSilence>;
    get(id: string): ShownSilence | null;
    /** Throws `invalid` where it names what the city does not have. */
    add(silence: Omit<Silence, 'id' | 'createdAt'>): Promise<ShownSilence>;
    /** Ends it now; false where it had ended. */
    end(id: string): Promise<boolean>;
  };
  readonly oversight: Oversight;
  /** What anybody may see of tickets. */
  publicTickets(query: PublicQuery): PublicTicket[];
  readonly events: {
    page(query: Paging & EventFilter): Page<NumberedEvent>;
    head(): number;
    oldest(): number;
    store(): string;
    /** Called when events were added; returns how to stop listening. */
    onAppended(listener: () => void): () => void;
  };
  readonly webhooks: Later<Webhooks>;
  readonly subscriptions: Later<Subscriptions>;
  readiness(): Promise<{ ready: boolean; reasons: readonly string[] }>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** MQTT over WebSocket: the bytes of one connection. */
  acceptWebSocket(stream: Duplex, remoteAddress: string): void;
}
