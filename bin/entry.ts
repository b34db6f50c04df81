import { readFileSync, statSync } from 'node:fs';

const ROOT = new URL('..', import.meta.url);
const DIST = new URL('dist/', ROOT);
const SOURCES = new URL('cli/index.ts', ROOT);

/** Says whether a file is as it was; an image keeps no more of its time than seconds. */
export function stampOf(path: URL): string {
  const { size, mtimeMs } = statSync(path);
  return `${size} ${Math.floor(mtimeMs / 1_000)}`;
}

/** Returns the command line's module: that of the bundle, where that is of the sources as they are. */
export function entry(): URL {
  try {
    const sources: Record<string, string> = JSON.parse(readFileSync(new URL('sources.json', DIST), 'utf8'));
    const isSame = Object.entries(sources).every(([file, stamp]) => stampOf(new URL(file, ROOT)) === stamp);
    return isSame ? new URL('cli-index.js', DIST) : SOURCES;
  } catch {
    return SOURCES;
  }
}
