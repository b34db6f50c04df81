import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CityControl, type CityFile, LamppostError } from '../../domain/index.ts';

/**
 * Reads a city folder (`*.yaml`, `*.yml`, `*.geojson`, also below it; nothing hidden). Its version is the SHA-256 of
 * the files' names and texts. Throws `city` where it cannot be read.
 */
export async function readCityFolder(folder: string): Promise<CityControl> {
  try {
    const names = await readdir(folder, { recursive: true });
    const files: CityFile[] = [];
    for (const path of names
      .map((name) => name.replaceAll('\\', '/'))
      .filter(isWanted)
      .sort()) {
      files.push({ path, text: await readFile(join(folder, path), 'utf8') });
    }
    return { version: createHash('sha256').update(JSON.stringify(files)).digest('hex'), files };
  } catch (cause) {
    const message = `the city folder ${folder} cannot be read: ${(cause as Error).message}; set LAMPPOST_CITY`;
    throw new LamppostError('city', message, { cause });
  }
}

/** Editors leave hidden lock files, and mounted folders of Kubernetes hold each file a second time under `..data`. */
function isWanted(path: string): boolean {
  return /\.(ya?ml|geojson)$/.test(path) && !path.split('/').some((part) => part.startsWith('.'));
}
