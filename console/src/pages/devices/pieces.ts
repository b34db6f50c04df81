/** A part of a file of readings: whole lines, the header of CSV before them. */
export interface Piece {
  readonly body: Blob;
  /** The number of its first line. */
  readonly line: number;
  /** How much of the file is sent with it, bytes. */
  readonly end: number;
}

const PIECE_BYTES = 4 * 1024 ** 2;
const LF = 0x0a;

/** The format of a file by its name; null where that says nothing. */
export function formatOf(name: string): 'csv' | 'lines' | 'parquet' | null {
  const ending = name.split('.').at(-1)?.toLowerCase() ?? '';
  if (ending === 'csv' || ending === 'parquet') return ending;
  return ending === 'lp' || ending === 'txt' ? 'lines' : null;
}

/** Cuts a file into pieces that the server takes at once. A Parquet file stays whole. */
export async function* piecesOf(
  file: Blob,
  format: 'csv' | 'lines' | 'parquet',
  pieceBytes = PIECE_BYTES,
): AsyncGenerator<Piece> {
  if (format === 'parquet') {
    yield { body: file, line: 1, end: file.size };
    return;
  }
  let header: Blob | null = null;
  let line = 1;
  for (let from = 0; from < file.size; ) {
    const bytes = new Uint8Array(await file.slice(from, from + pieceBytes).arrayBuffer());
    const isLast = from + bytes.length >= file.size;
    const length = isLast ? bytes.length : bytes.lastIndexOf(LF) + 1;
    // A line that is longer than a piece goes as it is: the server says what is wrong with it.
    const end = from + (length === 0 ? bytes.length : length);
    const own = file.slice(from, end);
    yield { body: header === null ? own : new Blob([header, own]), line, end };
    line += linesIn(bytes.subarray(0, end - from));
    // The header is repeated before the lines of each piece, and counts as the line before them.
    if (format === 'csv' && header === null) header = file.slice(0, bytes.indexOf(LF) + 1);
    if (from === 0 && header !== null) line -= 1;
    from = end;
  }
}

function linesIn(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === LF) count++;
  return count;
}
