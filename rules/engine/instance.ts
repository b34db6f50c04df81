import type { KnownDevice, Severity } from '../../domain/index.ts';
import { type ClauseState, FALSE, UNKNOWN, type Verdict } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';

/** Where an alert stands between transitions; a resolved or cancelled one is inactive again. */
export type Phase = 'inactive' | 'pending' | 'firing';

/** Clauses over the readings of one device, or of all devices of a group. */
export class Member {
  readonly rule: CompiledRule;
  /** Whose alert it bears on; an instance that is its own member says itself. */
  readonly owner: Instance;
  readonly clauses: readonly ClauseState[];
  /** The device, where there is one. */
  device: KnownDevice | null;
  whole: Verdict = UNKNOWN;
  /** Under which it can be a peer; null: it is none. */
  peerKey: string | null = null;
  /** When the queue looks at it next, engine time without gaps; Infinity: not in the queue. */
  queuedK = Number.POSITIVE_INFINITY;

  constructor(rule: CompiledRule, owner: Instance | null, device: KnownDevice | null, k: number) {
    this.rule = rule;
    this.owner = owner ?? (this as unknown as Instance);
    this.device = device;
    // The members of a quorum have the clauses; the group only counts.
    const counts = owner === null && rule.rule.quorum !== null;
    this.clauses = counts ? [] : rule.clauses.map(({ make }) => make(k));
    if (!counts) this.judgeWhole();
  }

  judgeWhole(): void {
    const { whole } = this.rule;
    this.whole = whole === null ? this.clauses[0]!.verdict : whole(this.clauses);
  }

  /** When a clause changes by itself. */
  clauseDueK(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const clause of this.clauses) due = Math.min(due, clause.dueK());
    return due;
  }
}

/** From the beginning of a match to the end of its alert. Times are engine time, those with K without its gaps. */
export interface Episode {
  readonly sinceMs: number;
  readonly sinceK: number;
  severity: Severity;
  /** Would fire, were there not too many. */
  held: boolean;
  /** When a firing alert ends that no longer matches; NaN while it matches. */
  endK: number;
}

/** One rule on one group: its alert. Times are engine time, those with K without its gaps. */
export class Instance extends Member {
  readonly group: string;
  /** Of a quorum, by number of the device. */
  readonly members: Map<number, Member> | null;
  /** Of a district or the city: devices that the rule takes. */
  devices = 0;
  /** Members whose whole is true. */
  matching = 0;
  phase: Phase = 'inactive';
  /** Null while inactive. */
  episode: Episode | null = null;
  /** Silence fires it. */
  silent = false;
  /** This silence has had its effect. */
  silenceOver = false;
  /** When a reading counted last; or the group, or the rule, began. */
  heardK: number;
  /** When it last began to fire, newest last; only with flap damping. */
  firedK: number[] | null;
  dirty = false;
  gone = false;

  constructor(rule: CompiledRule, group: string, device: KnownDevice | null, k: number) {
    super(rule, null, device, k);
    this.group = group;
    this.members = rule.rule.quorum === null ? null : new Map();
    this.heardK = k;
    this.firedK = rule.rule.flapping === null ? null : [];
    if (this.members !== null) this.whole = FALSE;
  }
}
