import { readdirSync, readFileSync } from 'node:fs';

// USER_HZ, which is 100 on every Linux that Node runs on.
const TICKS_PER_SECOND = 100;

/**
 * CPU seconds (user and system) of a process and of those that it started and has not waited for; see proc(5), `stat`.
 */
export const cpuSeconds = (pid: number) => processesOf(pid).reduce((sum, one) => sum + cpuSecondsOf(one), 0);

function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name in parentheses, which may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Peak memory of a process and of those that it started, each at its own time, MiB; see proc(5), `status`. */
export const peakMiB = (pid: number) => processesOf(pid).reduce((sum, one) => sum + peakMiBOf(one), 0);

function peakMiBOf(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(kib![1]) / 1024);
}

/** Resident memory of a process and of those that it started, MiB; pages that they share count in each. */
export const residentMiB = (pid: number) =>
  Math.round(processesOf(pid).reduce((sum, one) => sum + memoryOf(one).resident, 0));

/**
 * The same with each shared page counted once, in equal parts among the processes that have it; see proc(5), `smaps`.
 */
export const proportionalMiB = (pid: number) =>
  Math.round(processesOf(pid).reduce((sum, one) => sum + proportionalMiBOf(one), 0));

function proportionalMiBOf(pid: number): number {
  const kib = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return Number(kib![1]) / 1024;
}

/** A process and those that it started, itself first. */
export function processesOf(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  return [pid, ...threads.flatMap((thread) => childrenOf(pid, thread)).flatMap(processesOf)];
}

/** Returns what a thread started; nothing of one that has ended since it was listed. */
function childrenOf(pid: number, thread: string): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8');
    return children.trim().split(' ').filter(Boolean).map(Number);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    return [];
  }
}

/** Memory of a process, MiB. */
export interface MemoryOf {
  readonly resident: number;
  /** Pages of files, such as Node's own, which other processes share. */
  readonly shared: number;
  /** Pages that no file has. */
  readonly own: number;
}

/** Returns the memory of a process by kind; see proc(5), `status`. */
export function memoryOf(pid: number): MemoryOf {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)![1]);
  return { resident: kib('VmRSS') / 1024, shared: kib('RssFile') / 1024, own: kib('RssAnon') / 1024 };
}
