/**
 * Where every message and reading is (promise 2): `received = decoded + quarantined + pending` and
 * `readings.received = stored + duplicate + quarantined`, for the city and for each device, at every moment.
 */
export interface Ledger {
  readonly messages: {
    readonly received: number;
    readonly decoded: number;
    readonly quarantined: number;
    /** In the journal, behind the history's cursor. */
    readonly pending: number;
  };
  readonly readings: {
    readonly received: number;
    /** Accepted into the history. */
    readonly stored: number;
    /** Those of `stored` that took the place of another value for the same device, metric and time. */
    readonly replaced: number;
    readonly duplicate: number;
    readonly quarantined: number;
  };
}

/** One refused message (path `$`) or one refused reading of a message, as the API lists it. */
export interface Quarantined {
  /** `{message position}-{ordinal}`; also the cursor of the list. */
  readonly id: string;
  readonly device: string;
  readonly topic: string;
  /** Name of the format that the topic speaks; null where none is known. */
  readonly format: string | null;
  /** ISO 8601 UTC. */
  readonly receivedAt: string;
  /** Whether the whole message or one reading of it was refused. */
  readonly scope: 'message' | 'reading';
  readonly reason: import('./errors.ts').Reason;
  readonly path: string;
  readonly detail: string;
  /** The payload as it was sent, base64. */
  readonly raw: string;
  /** Set where somebody decided that it will not be mended. */
  readonly discarded: { readonly at: string; readonly by: string; readonly note: string } | null;
}

/** A page of a list; `next` is the cursor to pass as `after`, null at the end. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
