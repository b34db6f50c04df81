import { join } from 'node:path';
import { readCityFolder } from '../../../city-model/index.ts';
import type { CityControl } from '../../../domain/index.ts';

/** The sample city. */
export const sample: CityControl = await readCityFolder(join(import.meta.dirname, '../../../city'));

/** Returns the text of one of its files. */
export function textOf(path: string): string {
  return sample.files.find((file) => file.path === path)!.text;
}

/** Returns the sample city with one file replaced, or removed. */
export function withFile(path: string, text: string | null): CityControl {
  const others = sample.files.filter((file) => file.path !== path);
  return { version: 'changed', files: text === null ? others : [...others, { path, text }] };
}

/**
 * Returns the sample city with the first occurrence of a piece of a file replaced. Throws where the piece is missing.
 */
export function edited(path: string, piece: string, replacement: string): CityControl {
  const text = textOf(path);
  if (!text.includes(piece)) throw new Error(`${path} does not hold ${piece}`);
  return withFile(
    path,
    text.replace(piece, () => replacement),
  );
}
