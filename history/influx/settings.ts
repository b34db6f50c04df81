/** Which InfluxDB is the history, and how it is spoken to. */
export interface InfluxSettings {
  /** `http://host:8086`, also with a path in front of the API's own. */
  readonly url: string;
  /** The token; `user:password` is sent as such; empty where the server asks for none. */
  readonly token: string;
  /** v2 only. */
  readonly org: string;
  /** The bucket; with v1, and for queries, the database of this name. */
  readonly bucket: string;
  /** Which path is written to: `/api/v2/write` (InfluxDB 2 and 3, VictoriaMetrics) or `/write` (InfluxDB 1, and the others too). */
  readonly api: 'v2' | 'v1';
}

/** How the history writes. */
export interface InfluxLimits {
  /** Lines of one request. */
  readonly lines: number;
  /** Requests on their way at the same time. */
  readonly inFlight: number;
  /** How long one request may take in all, ms: a half-open connection answers never. */
  readonly timeoutMs: number;
}

/** What InfluxDB recommends, and a time that it stays within even while it compacts. */
export const INFLUX_LIMITS: InfluxLimits = { lines: 5_000, inFlight: 3, timeoutMs: 30_000 };
