import type { Publication, Timers } from '../domain/index.ts';

/** Commands to devices, as the broker needs them. */
export interface DeviceCommands {
  /** Reports whether a message is a command that has ended: nobody gets it any more. */
  isOver(topic: string, payload: string): boolean;
  /** Returns the commands of a topic that the device has not responded to, for a subscription that is new. */
  waiting(topic: string): readonly Publication[];
  /** Returns the commands that wait for network servers, for a new subscription to downlinks. */
  downlinks(): readonly Publication[];
  /**
   * Returns the command that a message on a topic of downlinks is, and the key that gets it; null: it is none, or over.
   */
  downlink(topic: string, payload: string): { readonly id: string; readonly key: string } | null;
  /** Returns how long a message that is a command is still valid, s, 0 or less: no longer; null: it is no command. */
  secondsLeft(topic: string, payload: string): number | null;
  /** The devices have the commands of these ids. */
  delivered(ids: readonly string[]): void;
}

const TOPIC = /^devices\/([^/]+)\/commands$/;

/** Returns the device whose commands a topic has; null where it is another topic. */
export function commandsOf(topic: string): string | null {
  // Most topics are others, and every message to every subscriber is asked.
  return topic.endsWith('/commands') ? (TOPIC.exec(topic)?.[1] ?? null) : null;
}

const DOWNLINK_FILTER =
  /^(application\/[^/]+\/device\/[^/]+\/command\/(down|\+|#)|v3\/[^/]+\/devices\/[^/]+\/down\/(push|\+|#))$/;

/** Whether all topics of a filter are of downlinks to LoRaWAN devices. */
export function isDownlinkFilter(filter: string): boolean {
  return DOWNLINK_FILTER.test(filter);
}

const TOGETHER_MS = 50;
const MOST_TOGETHER = 1_000;

/** Collects which commands arrived, so that those of a moment are one record of the log. */
export class Arrivals {
  readonly #commands: Pick<DeviceCommands, 'delivered'>;
  readonly #timers: Timers;
  #ids = new Set<string>();
  #cancel: (() => void) | null = null;

  constructor(commands: Pick<DeviceCommands, 'delivered'>, timers: Timers) {
    this.#commands = commands;
    this.#timers = timers;
  }

  /** Notes the command of a payload, as `DeviceCommands` published it. */
  note(payload: string): void {
    this.noteId((JSON.parse(payload) as { readonly id: string }).id);
  }

  /** Notes a command by its id. */
  noteId(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size >= MOST_TOGETHER) this.#flush();
    else this.#cancel ??= this.#timers.after(TOGETHER_MS, () => this.#flush());
  }

  stop(): void {
    this.#flush();
  }

  #flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (this.#ids.size > 0) this.#commands.delivered([...this.#ids]);
    this.#ids = new Set();
  }
}
