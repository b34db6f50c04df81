import type { SessionFilter as Subscription } from '../../domain/index.ts';

export type { Subscription };

/** A subscription that matches a topic, with its client id. */
export type Matched = Subscription & { readonly clientId: string };

/**
 * Returns whether a topic filter matches a topic (MQTT 3.1.1 §4.7): `#` also matches its parent level, and a leading
 * wildcard does not match a topic that begins with `$`.
 */
export function matchesFilter(filter: string, topic: string): boolean {
  if (filter === topic) return true;
  if (topic.startsWith('$') && /^[#+]/.test(filter)) return false;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return true;
    if (i >= levels.length || (wanted[i] !== '+' && wanted[i] !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

interface Level {
  readonly below: Map<string, Level>;
  /** Subscriptions that end here, by client id. */
  readonly here: Map<string, Matched>;
}

const newLevel = (): Level => ({ below: new Map(), here: new Map() });

/** A trie of subscriptions by the levels of their filters: `match` visits only levels that match. */
export class FilterTree {
  readonly #root = newLevel();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a subscription, or replaces the one of the same client and filter. */
  add(clientId: string, subscription: Subscription): void {
    let level = this.#root;
    for (const name of subscription.topic.split('/')) {
      const next = level.below.get(name) ?? newLevel();
      level.below.set(name, next);
      level = next;
    }
    if (!level.here.has(clientId)) this.#size++;
    level.here.set(clientId, { clientId, ...subscription });
  }

  remove(clientId: string, filter: string): void {
    this.#remove(this.#root, filter.split('/'), 0, clientId);
  }

  /** Returns every subscription whose filter matches the topic, also several of one client. */
  match(topic: string): Matched[] {
    const found: Matched[] = [];
    this.#match(this.#root, topic.split('/'), 0, found);
    return found;
  }

  #remove(level: Level, names: readonly string[], at: number, clientId: string): void {
    if (at === names.length) {
      if (level.here.delete(clientId)) this.#size--;
      return;
    }
    const next = level.below.get(names[at]!);
    if (next === undefined) return;
    this.#remove(next, names, at + 1, clientId);
    if (next.below.size === 0 && next.here.size === 0) level.below.delete(names[at]!);
  }

  #match(level: Level, names: readonly string[], at: number, found: Matched[]): void {
    // §4.7.2
    const wild = at > 0 || !names[0]!.startsWith('$');
    if (wild) found.push(...(level.below.get('#')?.here.values() ?? []));
    if (at === names.length) {
      found.push(...level.here.values());
      return;
    }
    for (const name of wild ? ['+', names[at]!] : [names[at]!]) {
      const next = level.below.get(name);
      if (next !== undefined) this.#match(next, names, at + 1, found);
    }
  }
}
