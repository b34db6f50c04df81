import type { DatabaseSync } from 'node:sqlite';
import { DeviceRecords, type TakenDevice } from './device-records.ts';
import { KeyRecords, type TakenKey } from './key-records.ts';
import { createRegistryState, type RecordPlace, type RegistryState } from './state.ts';

/** A part of the file that had devices and keys before they were records of the log. */
export interface TakeOver {
  readonly devices: readonly TakenDevice[];
  readonly keys: readonly TakenKey[];
  /** Whether it is the last part: nothing is taken over after it. */
  readonly last: boolean;
}

/**
 * Writes what the log decides about devices and keys, over a file that has `REGISTRY_SCHEMA`. It keeps nothing in
 * memory: the same records lead to the same rows (promise 4).
 */
export class RegistryRecords {
  readonly devices: DeviceRecords;
  readonly keys: KeyRecords;
  readonly #state: RegistryState;

  constructor(db: DatabaseSync) {
    this.#state = createRegistryState(db);
    this.devices = new DeviceRecords(db, this.#state);
    this.keys = new KeyRecords(db, this.#state);
  }

  /** Does nothing once all was taken over: a start that was interrupted appends all of it again. */
  takeOver({ devices, keys, last }: TakeOver, at: RecordPlace): void {
    if (this.#state.tookOver()) return;
    this.devices.takeOver(devices, at);
    this.keys.takeOver(keys);
    this.#state.changedAt(at.seq);
    if (last) this.#state.setTookOver();
  }

  isDue(nowMs: number): boolean {
    return this.devices.isDue(nowMs) || this.keys.isDue(nowMs);
  }

  /** Ends secrets, codes and keys whose time has come. */
  doDue(at: RecordPlace): void {
    if (!this.isDue(at.atMs)) return;
    this.devices.doDue(at);
    this.keys.doDue(at);
  }

  /** Moves what was promised in durations, where the wall clock was set. */
  stepped(byMs: number): void {
    this.devices.stepped(byMs);
    this.keys.stepped(byMs);
  }
}
