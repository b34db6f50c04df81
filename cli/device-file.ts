import { DEVICE_COLUMNS, DeviceFileMistake, type DeviceOfFile, devicesInFile, LamppostError } from '../domain/index.ts';
import { readBytes } from './files.ts';

/**
 * Reads the devices of a file: a JSON array (or one device), or CSV with a header. Throws `config` with the place of a
 * mistake; the server checks the devices themselves.
 */
export async function readDevices(file: string): Promise<readonly DeviceOfFile[]> {
  const text = readBytes(file).toString();
  try {
    return devicesInFile(file, text);
  } catch (cause) {
    throw new LamppostError('config', `${file}: ${sentenceOf(cause as Error)}`, { cause });
  }
}

function sentenceOf(error: Error): string {
  if (!(error instanceof DeviceFileMistake)) return error.message;
  const { line, found, wanted, names, tag } = error.values;
  switch (error.kind) {
    case 'no-json':
      return `${(error.cause as Error | undefined)?.message ?? 'this is no list of devices'}; CSV files end with .csv`;
    case 'no-columns':
      return `line 1: no column ${names}; columns are ${DEVICE_COLUMNS.join(', ')}`;
    case 'wrong-row':
      return `line ${line}: ${found} values found, the header has ${wanted}`;
    case 'no-place':
      return `line ${line}: lat and lon belong together`;
    case 'no-tag':
      return `line ${line}: tags: "${tag}" found; write name=value, separated by semicolons`;
  }
}
