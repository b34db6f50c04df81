import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Returns everything in a folder, and itself as ``, that others than its owner may use, with its mode. */
export function othersIn(dir: string): string[] {
  const names = readdirSync(dir, { recursive: true, withFileTypes: true });
  const paths = [dir, ...names.map(({ parentPath, name }) => join(parentPath, name))];
  return paths.flatMap((path) => {
    const { mode } = statSync(path, { throwIfNoEntry: false }) ?? { mode: 0 };
    return mode & 0o077 ? [`${relative(dir, path)} ${(mode & 0o777).toString(8)}`] : [];
  });
}
