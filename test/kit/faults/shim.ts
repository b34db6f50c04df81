import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Random } from '../../../simulators/city/random.ts';
import { compiled } from './compiled.ts';

/** What a call can be made to do, in the numbers of shim.c. */
const FAULTS = {
  'EIO at write': 1,
  'ENOSPC at write': 2,
  'short write': 3,
  'kill in a write': 4,
  'EIO at fsync': 5,
  'kill before fsync': 6,
  'kill after fsync': 7,
} as const;
export type DiskFault = keyof typeof FAULTS;

const PAGE = 4096;
/** `struct control` of shim.c: where its fields are. */
const CONTROL = { bytes: 96, delay: 12, hits: 16, match: 32 } as const;
const FOREVER = 2 ** 31 - 1;

export interface Armed {
  readonly fault: DiskFault;
  /** A part of the paths of the files it is about; '': all files. */
  readonly match: string;
  /** How many calls go well before. */
  readonly skip?: number;
  /** How many calls fail then; absent: all. */
  readonly times?: number;
}

/**
 * The disk below a data folder, for a process that runs with `env`: it fails as asked, and it can lose power.
 * Everything of it is in memory but for the files themselves.
 */
export class FaultyDisk {
  readonly #data: string;
  readonly #own: string;

  constructor(data: string) {
    this.#data = data;
    this.#own = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'lamppost-shim-'));
    writeFileSync(this.#control, Buffer.alloc(CONTROL.bytes));
    this.keepAll();
  }

  get #control(): string {
    return join(this.#own, 'control');
  }

  get #onDisk(): string {
    return join(this.#own, 'files');
  }

  env(): Record<string, string> {
    return {
      LD_PRELOAD: compiled('shim.c', ['-shared', '-fPIC', '-ldl', '-lpthread']),
      SHIM_CONTROL: this.#control,
      SHIM_DATA: this.#data,
      SHIM_DISK: this.#own,
    };
  }

  /** From now on calls fail. */
  arm({ fault, match, skip = 0, times = FOREVER }: Armed): void {
    const bytes = Buffer.alloc(CONTROL.bytes);
    bytes.writeInt32LE(skip, 4);
    bytes.writeInt32LE(times, 8);
    bytes.write(match, CONTROL.match);
    this.#write(bytes, 0);
    bytes.writeUInt32LE(FAULTS[fault]);
    this.#write(bytes.subarray(0, 4), 0);
  }

  /** From now on every fsync takes so much longer. */
  slow(ms: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(ms * 1_000);
    this.#write(bytes, CONTROL.delay);
  }

  /** How many calls failed since `arm`. */
  get hits(): number {
    return readFileSync(this.#control).readUInt32LE(CONTROL.hits);
  }

  /** Ends every fault and returns the hits. */
  disarm(): number {
    const { hits } = this;
    this.#write(Buffer.alloc(CONTROL.bytes), 0);
    return hits;
  }

  /** In place, because the process has mapped the file. */
  #write(bytes: Buffer, at: number): void {
    const file = openSync(this.#control, 'r+');
    writeSync(file, bytes, 0, bytes.length, at);
    closeSync(file);
  }

  /** What the folder holds now is on disk. No process may have its files open. */
  keepAll(): void {
    rmSync(join(this.#own, 'marks'), { recursive: true, force: true });
    rmSync(this.#onDisk, { recursive: true, force: true });
    cpSync(this.#data, this.#onDisk, { recursive: true, filter: isPart });
  }

  /**
   * Takes back what no fsync covered: each page of it by chance, or all where `random` is null. Returns how many pages
   * were lost. No process may have the files open.
   */
  losePower(random: Random | null): number {
    let lost = 0;
    for (const name of new Set([...filesIn(this.#data), ...filesIn(this.#onDisk)])) {
      const [written, kept] = [read(join(this.#data, name)), read(join(this.#onDisk, name))];
      if (written !== null && kept !== null && written.equals(kept)) continue;
      const left = remains(written, kept, random);
      lost += left.lost;
      mkdirSync(dirname(join(this.#data, name)), { recursive: true });
      if (left.bytes === null) rmSync(join(this.#data, name));
      else writeFileSync(join(this.#data, name), left.bytes);
    }
    this.keepAll();
    return lost;
  }

  remove(): void {
    rmSync(this.#own, { recursive: true });
  }
}

const read = (path: string) => (existsSync(path) ? readFileSync(path) : null);
const isPart = (path: string) => !/-shm$|\/lost\+found$|\/ballast$/.test(path);

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => isPart(`/${name}`) && statSync(join(folder, name)).isFile(),
  );
}

/** What is left of a file of which these are what was written and what an fsync covered; null: not even its name. */
function remains(
  written: Buffer | null,
  kept: Buffer | null,
  random: Random | null,
): { bytes: Buffer | null; lost: number } {
  const [now, before] = [written ?? Buffer.alloc(0), kept ?? Buffer.alloc(0)];
  const isLost = () => random === null || random() < 0.5;
  if (kept === null && isLost()) return { bytes: null, lost: Math.ceil(now.length / PAGE) };
  const bytes = Buffer.alloc(isLost() ? before.length : now.length);
  before.copy(bytes);
  let lost = 0;
  for (let at = 0; at < Math.max(now.length, before.length); at += PAGE) {
    const page = now.subarray(at, at + PAGE);
    if (page.equals(before.subarray(at, at + PAGE))) continue;
    if (isLost()) lost++;
    else page.copy(bytes, at);
  }
  return { bytes, lost };
}
