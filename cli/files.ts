import { readFileSync } from 'node:fs';
import { LamppostError } from '../domain/index.ts';

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EACCES: 'this user may not read it',
};

/** Returns the error of a file that a command was given and cannot read: `a.csv: there is no such file`. */
export function unreadable(file: string, cause: unknown, flag = ''): LamppostError {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const at = flag === '' ? '' : `${flag}: `;
  return new LamppostError('config', `${at}${file}: ${WHY[code] ?? message}`, { cause });
}

/** Reads a file that a command was given. Throws `config`; `flag` is where it was written. */
export function readBytes(file: string, flag = ''): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw unreadable(file, cause, flag);
  }
}
