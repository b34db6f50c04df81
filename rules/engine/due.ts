import { type EngineTime, TRUE } from './clauses/index.ts';
import type { Hours } from './compiled.ts';
import type { Instance, Member } from './instance.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** Engine time (without gaps) at which the member must be judged again if no reading comes before; Infinity: never. */
export function dueK(member: Member, time: EngineTime): number {
  let due = member.clauseDueK();
  const { owner } = member;
  if (member !== owner) return due;
  const { phase, episode, rule } = owner;
  if (phase === 'pending' && !episode!.held) due = Math.min(due, fireK(owner));
  if (phase === 'firing' && !Number.isNaN(episode!.endK)) due = Math.min(due, episode!.endK);
  due = Math.min(due, silenceK(owner));
  return rule.hours === null ? due : Math.min(due, hoursK(owner, rule.hours, time));
}

/** When the instance counts as silent, because no reading came since `readK`. */
export function silenceK(instance: Instance): number {
  const { rule, silenceHandled, readK } = instance;
  return rule.rule.onNoData === 'keep' || silenceHandled ? NEVER : readK + silenceMs(instance);
}

/** How long no reading may come: one that never spoke has a grace of its own. */
export function silenceMs({ rule: { rule }, spoken }: Pick<Instance, 'rule' | 'spoken'>): number {
  return spoken ? rule.noDataAfterMs : rule.noDataGraceMs;
}

/** When an alert that matches has matched long enough to fire: its condition, or its silence, whichever is first. */
export function fireK(instance: Instance): number {
  const { rule, silent, whole, readK, episode } = instance;
  const { forMs, noDataForMs } = rule.rule;
  if (!silent) return episode!.sinceK + forMs;
  const silentK = readK + silenceMs(instance) + noDataForMs;
  return whole === TRUE ? Math.min(episode!.sinceK + forMs, silentK) : silentK;
}

/** When the calendar starts or ends a match: now, where a gap or a change of the calendar already did. */
function hoursK(instance: Instance, hours: Hours, { k, offset }: EngineTime): number {
  if (instance.whole !== TRUE && !instance.silent && !instance.carried) return NEVER;
  const on = hours.isOn(k + offset);
  const { phase, episode } = instance;
  // One that a change carried on may have the end of a silence while the calendar is on and its condition unknown.
  const firing = instance.carried ? on : on === Number.isNaN(episode?.endK);
  const settled = phase === 'inactive' ? !on : phase === 'pending' ? on : firing;
  return settled ? hours.nextChange(k + offset) - offset : k;
}

/** A member, and when to judge it. */
interface Entry {
  readonly k: number;
  readonly member: Member;
}

/**
 * Due members in order of (time, rule, group, device): a binary heap. An entry counts only while its time equals the
 * member's `queuedK`. So a due time that moves back with every reading, as that of silence does, costs nothing until it
 * is reached.
 */
export class DueQueue {
  readonly #heap: Entry[] = [];

  /** Queues the member for `k`, unless it is queued for an earlier time. */
  add(member: Member, k: number): void {
    if (k >= member.queuedK) return;
    member.queuedK = k;
    this.#push({ k, member });
  }

  /** Removes and returns the next entry that is due at `k` or before; null where there is none. */
  take(k: number): Entry | null {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.k > k) return null;
      this.#pop();
      if (top.member.queuedK !== top.k) continue;
      top.member.queuedK = NEVER;
      return top;
    }
  }

  /** When the next entry is due; Infinity: never. */
  nextK(): number {
    return this.#heap[0]?.k ?? NEVER;
  }

  clear(): void {
    this.#heap.length = 0;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.k !== b.k ? a.k < b.k : compareMembers(a.member, b.member) < 0;
}

/**
 * By rule, group and device: an order that is the same in a restored engine, whatever order its members were created
 * in.
 */
function compareMembers(a: Member, b: Member): number {
  return (
    compare(a.rule.rule.id, b.rule.rule.id) ||
    compare(a.owner.group, b.owner.group) ||
    compare(a === a.owner ? '' : a.device!.id, b === b.owner ? '' : b.device!.id)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
