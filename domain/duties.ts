/** What one node does for all of a cluster. */
export const DUTIES = {
  clock: 'says what time it is: records of the log when the wall clock was set',
  notify: 'sends webhooks, mail and SMS',
  history: 'writes the InfluxDB that all nodes share',
  bridges: 'takes messages from other brokers',
  nightly: 'does what is done once a night',
  snapshots: 'puts snapshots into the object store, and trims the log behind them',
} as const;

export type Duty = keyof typeof DUTIES;

/** Says which duties are this node's. A paused process may believe in a lease that it lost: what it does carries the revision. */
export interface Duties {
  /** The revision of the lease that this node holds, which grows with every holder; null: another node has the duty, or none. */
  holds(duty: Duty): number | null;
  /** Calls the listener when this node gained or lost a duty; returns how to stop listening. */
  onChange(listener: (duty: Duty) => void): () => void;
}

/** The duties of a node that is alone. */
export const ALONE: Duties = { holds: () => 1, onChange: () => () => {} };
