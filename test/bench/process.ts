import { readFileSync } from 'node:fs';

// USER_HZ, which is 100 on every Linux that Node runs on.
const TICKS_PER_SECOND = 100;

/** CPU seconds (user and system) of all threads of a process since its start; see proc(5), `stat`. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name in parentheses, which may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Peak memory of a process, MiB; see proc(5), `status`. */
export function peakMiB(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(kib![1]) / 1024);
}

/** Resident memory of a process now, MiB; see proc(5), `status`. */
export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(kib![1]) / 1024);
}
