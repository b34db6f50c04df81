import type { DropReason, SessionChange } from '../../domain/index.ts';
import type { Holders } from './holders.ts';
import type { Owner, Session } from './session.ts';
import type { SessionTable } from './table.ts';

/** What becomes of changes, beside the table. */
export interface ChangeHooks {
  /** The session ends against its owner's wish, at this node. */
  readonly onLost: (session: Session, reason: DropReason) => void;
  /** Subscriptions of a session ended, for which messages may wait. */
  readonly onLess: (session: Session) => void;
  /** A session came to this node. */
  readonly onArrived: (session: Session) => void;
  /** A client has logged in at this node, or at another. */
  readonly onHeld: (id: string, isHere: boolean) => void;
  /** The status of a device. */
  readonly onStatus: (id: string, isOnline: boolean) => void;
}

/** Where a change comes from: a node, and the time of its record; on one machine from here, now. */
export interface Origin {
  readonly node: string | null;
  readonly atMs: number;
  /** Whether it took so long into the log that its clients are elsewhere by now. */
  readonly isLate?: boolean;
}

/**
 * Applies changes of sessions to the table. In a cluster every node applies the same ones in the order of the log, and
 * what a node says of a session counts only while that is its own: what its client did before it went to another node
 * and what comes too late cannot be mixed up.
 */
export class Changes {
  readonly #table: SessionTable;
  readonly #holders: Holders | null;
  readonly #hooks: ChangeHooks;

  constructor(table: SessionTable, holders: Holders | null, hooks: ChangeHooks) {
    this.#table = table;
    this.#holders = holders;
    this.#hooks = hooks;
  }

  apply(change: SessionChange, from: Origin): void {
    const session = this.#table.get(change.id);
    if (change.do === 'on') this.#on(change, from, session);
    else if (change.do === 'off') this.#off(change, from, session);
    else if (change.do === 'begin') this.#begin(change, from, session);
    else if (change.do === 'end') this.#end(change, from, session);
    else if (session !== undefined && this.#isOf(change.id, from)) this.#changed(session, change);
  }

  /** Ends the connection of a client whose node is gone, or began anew. */
  ended(id: string, atMs: number): void {
    const node = this.#holders?.get(id)?.node ?? null;
    this.#off({ id, expiry: null }, { node, atMs }, this.#table.get(id));
  }

  /** Returns the change that ends a session. */
  static end({ id, owner }: Session): Extract<SessionChange, { do: 'end' }> {
    return { do: 'end', id, secret: hexOf(owner) };
  }

  static begin(
    id: string,
    owner: Owner,
  ): Pick<Extract<SessionChange, { do: 'begin' }>, 'do' | 'id' | 'user' | 'secret'> {
    return { do: 'begin', id, user: owner.user, secret: hexOf(owner) };
  }

  #isOf(id: string, { node }: Origin): boolean {
    return this.#holders === null || this.#holders.get(id)?.node === node;
  }

  #on(change: Extract<SessionChange, { do: 'on' }>, from: Origin, known: Session | undefined): void {
    const { node, atMs, isLate = false } = from;
    const holders = this.#holders!;
    const { id, device, fresh, expiry } = change;
    const isHere = node === holders.me;
    if (isLate) {
      if (isHere) this.#hooks.onHeld(id, true);
      return;
    }
    holders.set(id, { node: node!, online: true, device });
    if (fresh && known !== undefined) this.#table.delete(known);
    else if (known !== undefined) {
      known.expiry = expiry;
      this.#table.seen(known, true, atMs);
      this.#move(known, isHere);
    }
    this.#hooks.onHeld(id, isHere);
    if (device) this.#hooks.onStatus(id, true);
  }

  #off(
    { id, expiry }: { id: string; expiry: number | null },
    { node, atMs }: Origin,
    known: Session | undefined,
  ): void {
    const holder = this.#holders?.get(id);
    if (holder === undefined || holder.node !== node || !holder.online) return;
    if (known !== undefined && expiry === 0) this.#table.delete(known);
    else if (known !== undefined) {
      known.expiry = expiry ?? known.expiry;
      this.#table.seen(known, false, atMs);
    }
    if (this.#table.get(id) === undefined) this.#holders!.delete(id);
    else this.#holders!.set(id, { ...holder, online: false });
    if (holder.device) this.#hooks.onStatus(id, false);
  }

  #begin(change: Extract<SessionChange, { do: 'begin' }>, from: Origin, known: Session | undefined): void {
    const { id, user, secret, place, connected, expiry } = change;
    const isFree = this.#holders !== null && this.#holders.get(id) === undefined;
    if (!isFree && !this.#isOf(id, from)) return;
    // A session from before this node was one of a cluster.
    if (isFree) this.#holders!.set(id, { node: from.node!, online: false, device: false });
    if (known !== undefined) {
      this.#move(known, this.#holders?.isHere(id) ?? true);
      if (!isFree) return;
      known.expiry = expiry;
      this.#table.seen(known, connected, from.atMs);
      return;
    }
    const session = this.#table.create(id, { user, secret: Buffer.from(secret, 'hex') }, from.atMs, place);
    session.expiry = expiry;
    this.#table.seen(session, connected, from.atMs);
  }

  #move(session: Session, isHere: boolean): void {
    if (isHere === session.isHere) return;
    if (isHere) this.#table.arrived(session);
    else this.#table.left(session);
    if (isHere) this.#hooks.onArrived(session);
  }

  #end(change: Extract<SessionChange, { do: 'end' }>, { node }: Origin, known: Session | undefined): void {
    if (known === undefined || hexOf(known.owner) !== change.secret) return;
    if (change.seen !== undefined && (known.connected || known.seenMs !== change.seen)) return;
    const isOurs = this.#holders === null || node === this.#holders.me;
    if (change.reason !== undefined && isOurs) this.#hooks.onLost(known, change.reason);
    this.#table.delete(known);
    if (this.#holders?.get(change.id)?.online === false) this.#holders.delete(change.id);
  }

  #changed(session: Session, change: Extract<SessionChange, { do: 'subscribe' | 'unsubscribe' | 'place' }>): void {
    if (change.do === 'place') this.#table.placed(session, change.place);
    else if (change.do === 'subscribe') {
      if (this.#table.subscribe(session, change.subscriptions, change.since)) this.#hooks.onLess(session);
    } else if (this.#table.unsubscribe(session, change.filters)) this.#hooks.onLess(session);
  }
}

function hexOf({ secret }: Owner): string {
  return Buffer.from(secret).toString('hex');
}
