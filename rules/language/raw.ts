import { parseDuration } from '../../domain/index.ts';

/** What was written, before or beside its schema: so that one mistake does not hide another. */
export type Raw = Readonly<Record<string, unknown>>;

/** A mistake at a path of the rule. */
export type Fault = readonly [path: readonly PropertyKey[], message: string];

/** A map of keys and values; an empty one where it is none. */
export function mapAt(raw: Raw, key: string): Raw {
  const value = raw[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}

export function listAt(raw: Raw, key: string): readonly unknown[] {
  const value = raw[key];
  return Array.isArray(value) ? value : [];
}

/** One text or several, as a list; undefined where none is written. */
export function namesAt(raw: Raw, key: string): readonly string[] | undefined {
  const value = raw[key];
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined;
}

export function textAt(raw: Raw, key: string): string | undefined {
  const value = raw[key];
  return typeof value === 'string' ? value : undefined;
}

export function numberAt(raw: Raw, key: string): number | undefined {
  const value = raw[key];
  return typeof value === 'number' ? value : undefined;
}

/** ms. */
export function durationAt(raw: Raw, key: string): number | undefined {
  const value = raw[key];
  return typeof value === 'string' ? (parseDuration(value) ?? undefined) : undefined;
}

/** A band that is written as two numbers. */
export function bandAt(raw: Raw, key: string): readonly [number, number] | undefined {
  const [low, high] = listAt(raw, key);
  return typeof low === 'number' && typeof high === 'number' ? [low, high] : undefined;
}
