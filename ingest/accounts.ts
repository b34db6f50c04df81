import { type CityVersion, type Context, type DeviceLine, versionAt } from './context.ts';
import { type Format, formatOf } from './decode/index.ts';
import { emptyTally, type Tally } from './outcome.ts';

/** The device of a message, and the tally that counts it. */
export interface Account {
  readonly device: string;
  /** Who pays for what is refused, and in whose name the ledger counts it. */
  readonly holder: string;
  readonly line: DeviceLine | undefined;
  readonly tally: Tally;
  /** Whether the sender may not publish for the device. */
  readonly foreign?: true;
}

export interface Route extends Account {
  /** Who sent it. */
  readonly identity: string;
  readonly topic: string;
  readonly format: Format | null;
  readonly declared: string | null;
}

/** A block, as far as the accounts of its messages go. */
interface Named {
  readonly seq: number;
  readonly city: CityVersion | null;
  readonly tallies: Tally[];
  /** Accounts of devices that only the payload names. */
  readonly named: Map<string, Account>;
}

/** Finds whose a message is, who may publish it, and who pays for it. */
export class Accounts {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** The route of a topic, once for all messages of one sender on it in a block. */
  routeOf(identity: string, topic: string, { seq, city }: Pick<Named, 'seq' | 'city'>): Route {
    const { device, format } = formatOf(identity, topic, city?.formats);
    const line = this.#context.line(device);
    const holder = line === undefined ? identity : device;
    const declared = format !== null && city?.formats.named(format.name) != null ? format.name : null;
    const route = { identity, device, holder, topic, line, format, declared, tally: emptyTally(holder) };
    return this.mayPublish(route, device, line, seq) ? route : { ...route, ...refusedOf(route) };
  }

  /** The account of one message. */
  of(out: Named, route: Route, payload: Buffer, wanted?: string): Account {
    const device = route.format?.deviceOf?.(payload, wanted) ?? null;
    return device === null ? route : this.named(out, route, device);
  }

  /** The account of a device that a payload names. */
  named(out: Named, route: Route, device: string): Account {
    if (device === route.device && !route.foreign) return route;
    // A device never publishes for another one, so a replay must not take it for the other.
    if (route.identity !== device && this.isDevice(route.identity, out.seq) && !this.carries(route, device, out.seq)) {
      return { ...route, device: route.identity, foreign: true };
    }
    // What one sender may is not what another may. Neither identities nor topics have U+0000.
    const key = `${route.identity}\0${route.topic}\0${device}`;
    let account = out.named.get(key);
    if (account === undefined) {
      const line = this.#context.line(device);
      const holder = line === undefined ? route.holder : device;
      account = { device, holder, line, tally: emptyTally(holder) };
      if (!this.mayPublish(route, device, line, out.seq)) account = { ...account, ...refusedOf(route) };
      out.tallies.push(account.tally);
      out.named.set(key, account);
    }
    return account;
  }

  /** A device publishes for itself, a gateway for those under it, a network server for those its key is bound to. */
  mayPublish(
    { identity, topic }: Pick<Route, 'identity' | 'topic'>,
    device: string,
    line: DeviceLine | undefined,
    seq: number,
  ): boolean {
    if (identity === device) return true;
    if (this.isDevice(identity, seq)) return this.carries({ identity }, device, seq);
    if (line === undefined) return true;
    const known = versionAt(line, seq)?.known ?? null;
    return known === null || this.#context.publishers.mayPublish({ identity, topic }, known, seq);
  }

  /** Whether a device is registered under a gateway, which is still one by its profile. */
  carries({ identity }: Pick<Route, 'identity'>, device: string, seq: number): boolean {
    const [line, gateway] = [this.#context.line(device), this.#context.line(identity)];
    if (line === undefined || gateway === undefined) return false;
    if (versionAt(line, seq)?.known?.gateway !== identity) return false;
    const profile = versionAt(gateway, seq)?.known?.profile ?? '';
    return this.#context.cityAt(seq)?.city.profiles.get(profile)?.kind === 'gateway';
  }

  /** Whether the sender is a device, no key. */
  isDevice(identity: string, seq: number): boolean {
    const line = this.#context.line(identity);
    // Also after it was revoked: what it sent before must not become that of a key.
    return line !== undefined && versionAt(line, seq) !== undefined;
  }
}

/** What is sent in the name of a device without the right to is counted for who sent it. */
function refusedOf({ identity }: Pick<Route, 'identity'>) {
  return { holder: identity, tally: emptyTally(identity), foreign: true } as const;
}
