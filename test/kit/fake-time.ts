import { existsSync, mkdtempSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';

/** Finds the library of the Debian package `libfaketime`; throws where it is not installed. */
function libraryOf(): string {
  const paths = readdirSync(LIBRARIES).map((folder) => join(LIBRARIES, folder, 'faketime', 'libfaketimeMT.so.1'));
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error('libfaketime is not installed: apt-get install libfaketime');
  return found;
}

/** The wall clock of a server process, which a test sets while it runs. Its monotonic clock stays the machine's. */
export class FakeTime {
  readonly #file = join(mkdtempSync(join(tmpdir(), 'lamppost-time-')), 'offset');
  #aheadMs = 0;

  constructor(aheadMs = 0) {
    this.set(aheadMs);
  }

  /** Settings of the process. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: libraryOf(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** Sets it so far ahead of the true time; negative: behind. Whole seconds. */
  set(aheadMs: number): void {
    this.#aheadMs = aheadMs;
    // The process may read the file at any moment, and finds the old or the new one.
    writeFileSync(`${this.#file}.new`, `${aheadMs < 0 ? '' : '+'}${Math.round(aheadMs / 1_000)}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** What the wall clock shows. */
  now(): number {
    return Date.now() + this.#aheadMs;
  }
}
