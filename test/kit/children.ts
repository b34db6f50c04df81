import type { ChildProcess } from 'node:child_process';

/** A test that fails, hangs or is killed in the middle leaves no server behind. */
export { endsWithUs } from '../../cli/children.ts';

/** Whether a child process still runs. */
export const runs = ({ pid, exitCode, signalCode }: ChildProcess): boolean =>
  pid !== undefined && exitCode === null && signalCode === null;
