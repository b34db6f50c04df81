import { expect } from 'vitest';
import { createMetrics, type MetricSources } from '../../../app/metrics.ts';

/** A server of which everything is to be said. */
export const SOURCES: MetricSources = {
  ledger: () => ({
    messages: { received: 6, decoded: 3, quarantined: 2, commands: 2, pending: 1 },
    readings: { received: 9, stored: 4, replaced: 1, duplicate: 3, quarantined: 2 },
  }),
  quarantine: () => ({ bytes: 1, dropped: { messages: 1, readings: 1 } }),
  broker: async () => ({
    ...{ connections: 9, waiting: 2, held: 1, refusedConnections: 3, gaveWay: 4, loginTimeouts: 5 },
    ...{ admitted: 6, refused: 7, dropped: 8, cutSlow: 9, cutOversize: 10, cutForeign: 11, refusedLogins: 12 },
    ...{ sessions: 4, sessionsConnected: 3, queued: 13, queueDropped: 14, retained: 15, pendingBytes: 16 },
    acknowledged: {
      upTo: [
        [2, 5],
        [10, 8],
      ],
      count: 9,
      sum: 75,
    },
  }),
  throttled: async () => [{ id: 'bin-1', ms: 1_500 }],
  engine: async () => ({ head: 5, rules: 4, history: 2 }),
  engineLagMs: async () => 250,
  clock: async () => ({ offsetMs: 1_500, steps: 1, doubt: null }),
  historyProcess: async () => ({ pid: 1, restarts: 2, residentBytes: 1 }),
  journalBytes: async () => 1,
  openTickets: () => 1,
  devices: () => 1,
  notifications: async () => ({ waiting: 1, enabled: 1, disabled: 1 }),
  newestBackupMs: () => 1_500,
  memory: async () => [{ thread: 'main', used: 1, heap: 2, external: 3 }],
  httpRefused: () => ({ 'no-key': 1 }),
  cluster: async () => ({ duties: ['clock'], awayMs: 1_500 }),
  bridges: () => [
    {
      ...{ id: 'harbour', url: 'mqtt://harbour', key: 'k-1', state: 'connected', since: '2026-11-29T10:00:00Z' },
      ...{ received: 6, acknowledged: 3, refused: 2, commands: 4, pending: 1, lagSeconds: 0.5 },
      ...{ lastMessageAt: null, lastError: null },
    },
  ],
  setAside: ['history.duckdb'],
};

/** Returns the metrics of such a server: the lines of its samples, and their names. */
export async function everyMetric() {
  const metrics = createMetrics(SOURCES);
  metrics.responded({ route: '/api/v1/devices/:id', method: 'GET', status: 200, seconds: 0.02 });
  metrics.responded({ route: '/api/v1/devices/:id', method: 'GET', status: 503, seconds: 2 });
  metrics.queried(0.3);
  metrics.fired(0.04);
  metrics.waited(0.04);
  const text = await metrics.text();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return { text, samples, names: new Set(samples.map((line) => /^\w+/.exec(line)![0])) };
}

/** The metrics that an expression of PromQL names. */
export const namesIn = (expression: string): string[] => expression.match(/\b(?:lamppost|nodejs|process)_\w+/g) ?? [];

/** Expects that expressions of PromQL name metrics that there are, with labels that they have. */
export function expectKnown(
  expressions: readonly string[],
  { samples, names }: { readonly samples: readonly string[]; readonly names: ReadonlySet<string> },
): void {
  expect(expressions.flatMap(namesIn).filter((name) => !names.has(name))).toEqual([]);
  for (const expression of expressions) {
    for (const [all, name, matchers] of expression.matchAll(/(lamppost_\w+)\{([^}]+)\}/g)) {
      const equal = Array.from(matchers!.matchAll(/\w+="[^"]+"/g), ([label]) => label);
      const isThere = (line: string) => line.startsWith(`${name}{`) && equal.every((label) => line.includes(label));
      expect(samples.some(isThere), all).toBe(true);
    }
  }
}
