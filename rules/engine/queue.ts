import type { Member } from './instance.ts';

/** A look at a member at a time. */
export interface Entry {
  readonly k: number;
  readonly member: Member;
}

/**
 * What comes due, in order of (time, rule, group, device): a binary heap. An entry counts only while it says what the member's
 * `queuedK` says; so a due time that moves back, as that of silence does with every reading, costs nothing until it is met.
 */
export class DueQueue {
  readonly #heap: Entry[] = [];

  /** Asks for a look at the member at `k`, unless one comes before. */
  add(member: Member, k: number): void {
    if (k >= member.queuedK) return;
    member.queuedK = k;
    this.#push({ k, member });
  }

  /** The next look that is due at `k` or before; it is then no longer in the queue. */
  take(k: number): Entry | null {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.k > k) return null;
      this.#pop();
      if (top.member.queuedK !== top.k) continue;
      top.member.queuedK = Number.POSITIVE_INFINITY;
      return top;
    }
  }

  /** When the next look is due; Infinity: never. */
  nextK(): number {
    return this.#heap[0]?.k ?? Number.POSITIVE_INFINITY;
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
  return a.k !== b.k ? a.k < b.k : inOrder(a.member, b.member) < 0;
}

/** By rule, group and device: an order that does not depend on how things came into memory, so a restored engine has the same. */
function inOrder(a: Member, b: Member): number {
  return (
    compare(a.rule.rule.id, b.rule.rule.id) ||
    compare(a.owner.group, b.owner.group) ||
    compare(a === a.owner ? '' : a.device!.id, b === b.owner ? '' : b.device!.id)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
