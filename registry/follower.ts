import { type DevicesControl, SECOND_MS, type Timers } from '../domain/index.ts';
import type { CredentialChange } from './credentials.ts';
import type { RegistryReader } from './reader.ts';

interface Parts {
  readonly registry: Pick<RegistryReader, 'version' | 'devicesSince' | 'credentialsSince'>;
  /** Appends what changed of devices to the log, for `ingest`. */
  readonly journal: (control: DevicesControl) => Promise<unknown>;
  /** Passes a change to the broker; resolves to the user names of which a secret has ended. */
  readonly broker: (change: CredentialChange) => Promise<readonly string[]>;
  readonly timers: Timers;
  /** The version that the log has of devices. */
  readonly journalled: number;
}

/**
 * Passes on what the log decided about devices and keys: to `ingest`, as a record of the log, and to the broker. What
 * an earlier process left undone is made good by the first call.
 */
export class RegistryFollower {
  readonly #parts: Parts;
  readonly #ended = new Set<(id: string) => void>();
  #journalled: number;
  /** The version that the broker has; null until it has been started with one. */
  #passed: number | null = null;
  #running: Promise<void> | null = null;
  #again: Promise<void> | null = null;
  #stopped = false;
  #cancelRetry = () => {};

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#journalled = parts.journalled;
  }

  /** The broker was started with the credentials of this version. */
  startedWith(version: number): void {
    this.#passed = version;
  }

  /** Calls the listener with each user name of which a secret has ended; its connections end. */
  onEnded(listener: (id: string) => void): void {
    this.#ended.add(listener);
  }

  /**
   * Resolves once all that is committed now is passed on. Throws `disk` where the log could not be written: it is tried
   * again by itself.
   */
  follow(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    if (this.#running === null) {
      this.#running = this.#pass().finally(() => {
        this.#running = null;
      });
      return this.#running;
    }
    // What is under way may have read before the change that this call is for.
    this.#again ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#again = null;
        return this.follow();
      });
    return this.#again;
  }

  /** What is not passed on by now is by the next start. */
  stop(): void {
    this.#stopped = true;
    this.#cancelRetry();
  }

  async #pass(): Promise<void> {
    try {
      await this.#journal();
      await this.#broker();
    } catch (error) {
      if (this.#stopped) return;
      this.#cancelRetry();
      this.#cancelRetry = this.#parts.timers.after(SECOND_MS, () => void this.follow().catch(() => {}));
      throw error;
    }
  }

  /** First: a device is known to `ingest` before it can connect. */
  async #journal(): Promise<void> {
    const { registry, journal } = this.#parts;
    if (registry.version() <= this.#journalled) return;
    const control = registry.devicesSince(this.#journalled);
    const { registered, revoked, publishers = [] } = control;
    const isEmpty = registered.length + revoked.length + publishers.length === 0;
    // The first one also says from which version on the log counts.
    if (!isEmpty || this.#journalled === 0) await journal(control);
    this.#journalled = control.version;
  }

  async #broker(): Promise<void> {
    const { registry, broker } = this.#parts;
    if (this.#passed === null || registry.version() <= this.#passed) return;
    const version = registry.version();
    const change = registry.credentialsSince(this.#passed);
    const ended = await broker(change);
    this.#passed = version;
    for (const id of ended) for (const listener of this.#ended) listener(id);
  }
}
