import { type Device, type HistoryStore, LamppostError, type Series } from '../../domain/index.ts';

/** The readings before a trial, and whether there were more than it looks at. */
export interface TrialContext {
  readonly fromMs: number;
  readonly series: readonly Series[];
  /** The history holds more readings than a trial takes: it begins later than the rule looks back. */
  readonly cut: boolean;
}

interface Wanted {
  readonly devices: readonly Device[];
  readonly metrics: readonly string[] | null;
  readonly fromMs: number;
  readonly toMs: number;
}

const MOST_POINTS = 200_000;
const MOST_HALVINGS = 12;

/** Raw readings of [from, to); where they are too many, of the second half, and so on. */
export async function contextOf(history: Pick<HistoryStore, 'query'>, wanted: Wanted): Promise<TrialContext> {
  const { devices, metrics, toMs } = wanted;
  let { fromMs } = wanted;
  for (let halvings = 0; ; halvings++) {
    try {
      const filter = { devices: devices.map(({ id }) => id), ...(metrics === null ? {} : { metrics }) };
      const series = await history.query({ ...filter, fromMs, toMs, fn: 'last', maxPoints: MOST_POINTS });
      return { fromMs, series, cut: halvings > 0 };
    } catch (error) {
      if (!(error instanceof LamppostError) || error.code !== 'invalid' || halvings === MOST_HALVINGS) throw error;
      fromMs = Math.ceil((fromMs + toMs) / 2);
    }
  }
}
