import { LamppostError } from '../../domain/index.ts';
import { readCsv, type TextOptions } from './csv.ts';
import { readLines } from './lines.ts';
import type { Part } from './part.ts';
import { RowCollector, type RowOptions } from './rows.ts';

/** Texts that an import reads; Parquet becomes CSV before. */
export type ImportFormat = 'csv' | 'lines';

/** How an import is read. */
export interface ImportOptions extends TextOptions, RowOptions {
  readonly format: ImportFormat;
}

/**
 * Reads a text into parts for the journal. The same text gives the same parts. Throws `invalid` where the text is not
 * UTF-8, or none of its rows can be read.
 */
export function importParts(
  bytes: Uint8Array,
  { format, rules, train, states, measured, ...options }: ImportOptions,
): readonly Part[] {
  const rows = new RowCollector({ rules, train, states, measured });
  const text = textOf(bytes);
  if (format === 'csv') readCsv(text, options, rows);
  else readLines(text, options, rows);
  return rows.finish();
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new LamppostError('invalid', 'the file is not UTF-8', { cause });
  }
}
