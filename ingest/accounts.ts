import { hardwareOf } from '../domain/index.ts';
import { type CityVersion, type Context, type DeviceLine, versionAt } from './context.ts';
import { type Format, formatOf } from './decode/index.ts';
import { emptyTally, type Tally } from './outcome.ts';

/** The device of a message, and the tally that counts it. */
export interface Account {
  readonly device: string;
  /** The name of the hardware, where the message says it; null: it names the device by its id. */
  readonly hardware: string | null;
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
  /** Whether a payload means the same by the name of `device` as the topic does. */
  readonly isNamed: boolean;
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
    const { device: name, format, by } = formatOf(identity, topic, city?.formats);
    const hardware = by === 'hardware' ? name : null;
    const line = hardware === null ? this.#context.line(name) : this.#context.lineOfHardware(name, seq);
    const device = line?.id ?? name;
    const isNamed = by !== 'sender' || (line !== undefined && isOwnHardware(line, seq));
    const holder = line === undefined ? identity : device;
    const declared = format !== null && city?.formats.named(format.name) != null ? format.name : null;
    const route = {
      identity,
      device,
      hardware,
      holder,
      topic,
      line,
      format,
      declared,
      isNamed,
      tally: emptyTally(holder),
    };
    return this.mayPublish(route, device, line, seq) ? route : { ...route, ...refusedOf(route) };
  }

  /** The account of one message. `wanted`: the device that is preferred where the payload names several. */
  of(out: Named, route: Route, payload: Buffer, wanted?: string): Account {
    const { format } = route;
    if (format?.deviceOf === undefined) return route;
    const name = format.deviceOf(payload, wanted === undefined ? wanted : this.#hardwareAt(wanted, out.seq));
    return name === null ? route : this.named(out, route, name);
  }

  /** The account of a device that a payload names by its hardware, or as the topic does. */
  named(out: Named, route: Route, name: string): Account {
    if (name === (route.hardware ?? route.device) && route.isNamed && !route.foreign) return route;
    // A device never publishes for another one, so a replay must not take it for the other.
    if (route.identity !== name && this.isDevice(route.identity, out.seq) && !this.speaksFor(route, name, out.seq)) {
      return { ...route, device: route.identity, hardware: null, foreign: true };
    }
    // What one sender may is not what another may. Neither identities nor topics have U+0000.
    const key = `${route.identity}\0${route.topic}\0${name}`;
    let account = out.named.get(key);
    if (account === undefined) {
      const line = this.#context.lineOfHardware(name, out.seq);
      const device = line?.id ?? name;
      const holder = line === undefined ? route.holder : device;
      account = { device, hardware: name, holder, line, tally: emptyTally(holder) };
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

  /** Whether a device that sends, or a gateway, speaks for hardware: its own, or that of a device under it. */
  speaksFor({ identity }: Pick<Route, 'identity'>, name: string, seq: number): boolean {
    const line = this.#context.lineOfHardware(name, seq);
    return line !== undefined && (line.id === identity || this.#isUnder(identity, line, seq));
  }

  /** Whether a device is registered under a gateway, which is still one by its profile. */
  carries({ identity }: Pick<Route, 'identity'>, device: string, seq: number): boolean {
    const line = this.#context.line(device);
    return line !== undefined && this.#isUnder(identity, line, seq);
  }

  #isUnder(identity: string, line: DeviceLine, seq: number): boolean {
    const gateway = this.#context.line(identity);
    if (gateway === undefined || versionAt(line, seq)?.known?.gateway !== identity) return false;
    const profile = versionAt(gateway, seq)?.known?.profile ?? '';
    return this.#context.cityAt(seq)?.city.profiles.get(profile)?.kind === 'gateway';
  }

  /** Whether the sender is a device, no key. */
  isDevice(identity: string, seq: number): boolean {
    const line = this.#context.line(identity);
    const version = line === undefined ? undefined : versionAt(line, seq);
    if (version === undefined) return false;
    // Also after it was revoked: what it sent before must not become that of a key. Its hardware may be another's now.
    return version.known !== null || this.#context.lineOfHardware(identity, seq)?.id === identity;
  }

  /** Returns the name of the hardware of a device. */
  #hardwareAt(id: string, seq: number): string {
    const line = this.#context.line(id);
    const known = line === undefined ? null : versionAt(line, seq)?.known;
    return known ? hardwareOf(known) : id;
  }
}

/** Whether the hardware that has the name of a device is that of this device only. */
function isOwnHardware(line: DeviceLine, seq: number): boolean {
  return line.belongings === null && versionAt(line, seq)?.known?.devEui === undefined;
}

/** What is sent in the name of a device without the right to is counted for who sent it. */
function refusedOf({ identity }: Pick<Route, 'identity'>) {
  return { holder: identity, tally: emptyTally(identity), foreign: true } as const;
}
