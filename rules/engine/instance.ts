import type { KnownDevice, Severity } from '../../domain/index.ts';
import { type ClauseState, FALSE, TRUE, UNKNOWN, type Verdict } from './clauses/index.ts';
import type { CompiledRule } from './compiled.ts';

/** State of an alert between transitions; a resolved or cancelled alert is inactive again. */
export type Phase = 'inactive' | 'pending' | 'firing';

/** The clauses over the readings of one device, or of all devices of a group. */
export class Member {
  readonly rule: CompiledRule;
  /** The alert it belongs to; an instance is its own owner. */
  readonly owner: Instance;
  readonly clauses: readonly ClauseState[];
  /** Null for a district or the city. */
  device: KnownDevice | null;
  /** Verdict of the whole condition. */
  whole: Verdict = UNKNOWN;
  /** Profile and district among whose devices it is a peer; null: it is no peer. */
  peerKey: string | null = null;
  /** When the queue judges it next, engine time without gaps; Infinity: it is not in the queue. */
  queuedK = Number.POSITIVE_INFINITY;

  constructor(rule: CompiledRule, owner: Instance | null, device: KnownDevice | null, k: number) {
    this.rule = rule;
    this.owner = owner ?? (this as unknown as Instance);
    this.device = device;
    // With a quorum the members have the clauses; the group only counts.
    const counts = owner === null && rule.rule.quorum !== null;
    this.clauses = counts ? [] : rule.clauses.map(({ make }) => make(k));
    if (!counts) this.judgeWhole();
  }

  /** Combines the verdicts of the clauses; a member of a quorum also updates its group. */
  judge(): void {
    const before = this.whole;
    this.judgeWhole();
    const { owner } = this;
    if (owner === (this as Member)) return;
    owner.matching += Number(this.whole === TRUE) - Number(before === TRUE);
    owner.judgeQuorum();
  }

  /** When a clause changes its verdict without a reading; Infinity: never. */
  clauseDueK(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const clause of this.clauses) due = Math.min(due, clause.dueK());
    return due;
  }

  /** Not private: a private method would add a field to each of many members. */
  judgeWhole(): void {
    const { whole } = this.rule;
    this.whole = whole === null ? this.clauses[0]!.verdict : whole(this.clauses);
  }
}

/** From the beginning of a match to the end of its alert. Fields in K are engine time without gaps. */
export interface Episode {
  readonly sinceMs: number;
  readonly sinceK: number;
  severity: Severity;
  /** It would fire, but the rule is over its limit. */
  held: boolean;
  /** When a firing alert that no longer matches ends; NaN while it matches. */
  endK: number;
}

/** The alert of one rule on one group. Fields in K are engine time without gaps. */
export class Instance extends Member {
  readonly group: string;
  /** With a quorum: its members by device number. */
  readonly members: Map<number, Member> | null;
  /** With a district or the city: how many devices the rule applies to. */
  devices = 0;
  /** Members whose condition is true. */
  matching = 0;
  phase: Phase = 'inactive';
  /** Null while inactive. */
  episode: Episode | null = null;
  /** It fires on from before its rule was changed; the changed condition has not been known since. */
  carried = false;
  /** It matches because no reading arrives (`on_no_data: alert`). */
  silent = false;
  /** A reading that counts has arrived since the instance was created. */
  spoken = false;
  /** The present silence has had its effect. */
  silenceHandled = false;
  /** When the last reading that counts arrived; before the first, when the instance was created. */
  readK: number;
  /** When it began to fire, newest last; null without flap damping. */
  firedK: number[] | null;
  /** Its state has changed since the last checkpoint. */
  dirty = false;
  gone = false;

  constructor(rule: CompiledRule, group: string, device: KnownDevice | null, k: number) {
    super(rule, null, device, k);
    this.group = group;
    this.members = rule.rule.quorum === null ? null : new Map();
    this.readK = k;
    this.firedK = rule.rule.flapping === null ? null : [];
    if (this.members !== null) this.whole = FALSE;
  }

  /** How many devices must match; for rules with a quorum. */
  get quorum(): number {
    const quorum = this.rule.rule.quorum!;
    return 'devices' in quorum ? quorum.devices : Math.max(1, Math.ceil((quorum.percent * this.devices) / 100));
  }

  judgeQuorum(): void {
    this.whole = this.matching >= this.quorum ? TRUE : FALSE;
  }
}
