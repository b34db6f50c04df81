import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type {
  Alert,
  City,
  Device,
  EventType,
  HistoryStore,
  Key,
  KeyRole,
  Ledger,
  Page,
  Quarantined,
  Reason,
  Rule,
  Severity,
  Ticket,
  TicketStatus,
} from '../domain/index.ts';
import type { NumberedEvent } from '../events/index.ts';

/** One page of a list. */
export interface Paging {
  readonly limit: number;
  readonly after: string | null;
}

type Registered = Device & { readonly registeredAt: string };

/** Which events a reader wants. */
export interface EventFilter {
  readonly types?: EventType;
  readonly department?: string;
  readonly district?: string;
  readonly severity?: Severity;
  readonly ticket?: string;
}

/** All that the API reads and asks for; plain data in and out, so that it knows no store. */
export interface ApiDeps {
  readonly log: Logger;
  city(): City;
  rules(): readonly Rule[];
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
  readonly history: Pick<HistoryStore, 'query' | 'latest'>;
  readonly quarantine: { list(query: Paging & { device?: string; reason?: Reason }): Page<Quarantined> };
  readonly alerts: {
    list(
      query: Paging & { state?: Alert['state']; rule?: string; district?: string; severity?: Severity },
    ): Page<Alert>;
  };
  readonly tickets: {
    get(id: string): Ticket | null;
    list(
      query: Paging & {
        status?: TicketStatus;
        department?: string;
        district?: string;
        severity?: Severity;
        rule?: string;
        group?: string;
      },
    ): Page<Ticket>;
  };
  readonly events: {
    page(query: Paging & EventFilter): Page<NumberedEvent>;
    head(): number;
    oldest(): number;
    /** Called when events were added; returns how to stop listening. */
    onAppended(listener: () => void): () => void;
  };
  readiness(): Promise<{ ready: boolean; reasons: readonly string[] }>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** MQTT over WebSocket: the bytes of one connection. */
  acceptWebSocket(stream: Duplex, remoteAddress: string): void;
}
