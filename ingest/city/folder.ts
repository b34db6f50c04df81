import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CityControl, type CityFile, LamppostError } from '../../domain/index.ts';

/** Reads a city folder (`*.yaml`, `*.geojson`, also below it). Throws `city` where it cannot be read. */
export async function readCityFolder(folder: string): Promise<CityControl> {
  let names: string[];
  try {
    names = await readdir(folder, { recursive: true });
  } catch (cause) {
    const message = `the city folder ${folder} cannot be read: ${(cause as Error).message}; set LAMPPOST_CITY`;
    throw new LamppostError('city', message, { cause });
  }
  const wanted = names.filter((name) => /\.(yaml|geojson)$/.test(name)).sort();
  const files: CityFile[] = [];
  for (const name of wanted) {
    files.push({ path: name.replaceAll('\\', '/'), text: await readFile(join(folder, name), 'utf8') });
  }
  const version = createHash('sha256').update(JSON.stringify(files)).digest('hex');
  return { version, files };
}
