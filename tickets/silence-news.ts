import { type City, MINUTE_MS } from '../domain/index.ts';
import { calendarOf } from './deadlines.ts';
import { type Silence, type SilenceStore, silenceEndMs } from './silence-store.ts';
import type { Wait, WaitStore } from './waits.ts';

/** Something that happened to a silence. */
export interface SilenceChange {
  readonly kind: 'created' | 'matched' | 'ending' | 'ended';
  /** Names the event for ever: the same over restarts and replays. */
  readonly id: string;
  readonly silence: Silence;
  /** `matched`: those that it holds back since the last event; `ending`: all that it holds back; else none. */
  readonly alerts: readonly { readonly rule: string; readonly group: string }[];
}

/** What is announced of silences. It keeps nothing in memory. The caller holds the transaction. */
export interface SilenceNews {
  isDue(nowMs: number, city: Pick<City, 'calendars'>): boolean;
  /**
   * Returns when the next silence that holds tickets back is to be warned of, or its calendar goes off, epoch ms; null
   * where there is none.
   */
  nextMs(city: Pick<City, 'calendars'>): number | null;
  /** Returns what was not announced yet, each once. */
  take(nowMs: number, city: Pick<City, 'calendars'>): SilenceChange[];
}

/**
 * The time before its end, or before its calendar goes off, at which a silence that holds tickets back is announced.
 */
const WARNING_MS = 15 * MINUTE_MS;
const NEVER = Number.POSITIVE_INFINITY;

/** Returns what is announced of the silences of a state file. */
export function createSilenceNews(silences: SilenceStore, waits: WaitStore): SilenceNews {
  /** Returns the ends to warn of: only silences that hold something back are looked at, which are few. */
  function ends(nowMs: number, city: Pick<City, 'calendars'>): { silence: Silence; endMs: number }[] {
    return waits.causes().flatMap(({ reason, cause }) => {
      const silence = reason === 'silenced' ? silences.get(cause) : null;
      const endMs = silence && silenceEndMs(silence, nowMs, (id) => calendarOf(id, city));
      if (silence === null || endMs === null || endMs - nowMs > WARNING_MS) return [];
      return silences.warnedOf(cause) === endMs ? [] : [{ silence, endMs }];
    });
  }

  function matched(): SilenceChange[] {
    return waits.silencesToAnnounce().flatMap((id) => {
      const taken = waits.takeMatched(id);
      const silence = silences.get(id);
      const [first] = taken;
      if (silence === null || first === undefined) return [];
      const eventId = `${id}.matched.${first.rule}.${first.group}.${first.sinceMs}`;
      return [{ kind: 'matched', id: eventId, silence, alerts: alertsOf(taken) } as const];
    });
  }

  function ending(nowMs: number, city: Pick<City, 'calendars'>): SilenceChange[] {
    return ends(nowMs, city).map(({ silence, endMs }) => {
      silences.warn(silence.id, endMs);
      const isLast = endMs === Date.parse(silence.endsAt);
      const id = `${silence.id}.ending${isLast ? '' : `.${endMs}`}`;
      return { kind: 'ending', id, silence, alerts: alertsOf(waits.of('silenced', silence.id)) } as const;
    });
  }

  /** Returns when the end of a silence, for what it holds since a moment, is to be warned of; its end after that. */
  function nextOf(id: string, heldMs: number, city: Pick<City, 'calendars'>): number | null {
    const silence = silences.get(id);
    const endMs = silence && silenceEndMs(silence, heldMs, (calendar) => calendarOf(calendar, city));
    if (endMs === null) return null;
    return silences.warnedOf(id) === endMs ? endMs : Math.max(heldMs, endMs - WARNING_MS);
  }

  const whole = (kind: 'created' | 'ended') => (silence: Silence) =>
    ({ kind, id: `${silence.id}.${kind}`, silence, alerts: [] }) as const;

  return {
    isDue: (nowMs, city) =>
      silences.hasNews(nowMs) || waits.silencesToAnnounce().length > 0 || ends(nowMs, city).length > 0,
    nextMs(city) {
      const times = waits.silenced().map(({ silence, heldMs }) => nextOf(silence, heldMs, city) ?? NEVER);
      const next = Math.min(...times);
      return next === NEVER ? null : next;
    },
    take: (nowMs, city) => [
      ...silences.takeCreated().map(whole('created')),
      ...matched(),
      ...ending(nowMs, city),
      ...silences.takeEnded(nowMs).map(whole('ended')),
    ],
  };
}

const alertsOf = (waits: readonly Wait[]) => waits.map(({ rule, group }) => ({ rule, group }));
