import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CityControl, type CityFile, LamppostError } from '../domain/index.ts';

/**
 * Reads a city folder: `*.yaml`, `*.yml`, `*.geojson` and `*.proto`, subfolders included, and `codecs/*.js`, without
 * hidden files and tests. Its version is the SHA-256 of the files' names and texts. Throws `city` where it cannot be
 * read.
 */
export async function readCityFolder(folder: string): Promise<CityControl> {
  const files = await read(folder, (path) => !isTest(path));
  return { version: createHash('sha256').update(JSON.stringify(files)).digest('hex'), files };
}

/** Reads the tests of the rules, `rules/*.test.yaml`, which are not part of the city. Throws `city`. */
export function readRuleTests(folder: string): Promise<readonly CityFile[]> {
  return read(folder, (path) => path.startsWith('rules/') && isTest(path));
}

async function read(folder: string, wanted: (path: string) => boolean): Promise<readonly CityFile[]> {
  try {
    const names = await readdir(folder, { recursive: true });
    const files: CityFile[] = [];
    for (const path of names
      .map((name) => name.replaceAll('\\', '/'))
      .filter((name) => isOfCity(name) && wanted(name))
      .sort()) {
      files.push({ path, text: await readFile(join(folder, path), 'utf8') });
    }
    return files;
  } catch (cause) {
    const message = `the city folder ${folder} cannot be read: ${(cause as Error).message}; set LAMPPOST_CITY`;
    throw new LamppostError('city', message, { cause });
  }
}

const isTest = (path: string): boolean => /\.test\.ya?ml$/.test(path);

/** Editors leave hidden lock files, and mounted folders of Kubernetes hold each file a second time under `..data`. */
function isOfCity(path: string): boolean {
  return (
    /\.(ya?ml|geojson|proto)$|^codecs\/[^/]+\.js$/.test(path) && !path.split('/').some((part) => part.startsWith('.'))
  );
}
