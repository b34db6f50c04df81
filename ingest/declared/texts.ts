/** Rows of a text format; a text that is none is thrown as an error with its place. */
type Row = Record<string, unknown>;

/** Rows and pairs of one message. */
const MOST_PARTS = 32_768;

function partsOf(text: string, separator: string): string[] {
  const parts = text.split(separator, MOST_PARTS + 1);
  if (parts.length > MOST_PARTS) throw new Error(`more than ${MOST_PARTS} parts`);
  return parts;
}

function linesOf(text: string): string[] {
  return partsOf(text.replaceAll('\r\n', '\n'), '\n').filter((line) => line.trim() !== '');
}

/** Comma-separated values (RFC 4180) with one value a column; without `columns` the first line names them. */
export function readCsv(text: string, separator: string, columns: readonly string[] | null): Row[] {
  const lines = linesOf(text).map((line) => cellsOf(line, separator));
  const names = columns ?? lines.shift() ?? [];
  return lines.map((cells, i) => {
    if (cells.length > names.length) {
      throw new Error(`line ${i + 1} has ${cells.length} values; there are ${names.length} columns`);
    }
    return rowOf(cells.map((cell, at) => [names[at]!, cell] as const));
  });
}

/** Splits a line; a cell in double quotes may hold the separator, and a quote as two of them. */
function cellsOf(line: string, separator: string): string[] {
  if (!line.includes('"')) return line.split(separator).map((cell) => cell.trim());
  const cells: string[] = [];
  let from = 0;
  for (;;) {
    const quoted = line[from] === '"';
    const end = quoted ? endOfQuote(line, from + 1) : from;
    const next = line.indexOf(separator, end);
    const cell = line.slice(from, next === -1 ? line.length : next);
    cells.push(quoted ? line.slice(from + 1, end).replaceAll('""', '"') : cell.trim());
    if (next === -1) return cells;
    from = next + separator.length;
  }
}

function endOfQuote(line: string, from: number): number {
  let end = line.indexOf('"', from);
  while (end !== -1 && line[end + 1] === '"') end = line.indexOf('"', end + 2);
  if (end === -1) throw new Error('a quoted value without its end');
  return end;
}

/** `temperature=21.5;humidity=40`: one row. */
export function readPairs(text: string, separator: string | null, equals: string): Row {
  const parts = partsOf(text.replaceAll('\r\n', '\n').trim(), separator ?? '\n').map((part) => part.trim());
  return rowOf(
    parts
      .filter((part) => part !== '')
      .map((part) => {
        const at = part.indexOf(equals);
        if (at <= 0) throw new Error(`"${part.slice(0, 60)}" is no name, ${equals} and value`);
        return [part.slice(0, at).trim(), part.slice(at + equals.length).trim()] as const;
      }),
  );
}

/** UltraLight 2.0: `t|15|k|abc`, several groups behind `#`, a time before each; the time is the value `TimeInstant`. */
export function readUltraLight(text: string): Row[] {
  return partsOf(text.trim(), '#').map((group) => {
    const parts = partsOf(group, '|');
    const time = parts.length % 2 === 1 ? parts.shift()! : null;
    if (parts.length === 0) throw new Error('no name|value in it');
    const pairs: (readonly [string, string])[] = time === null ? [] : [['TimeInstant', time]];
    for (let i = 0; i < parts.length; i += 2) pairs.push([parts[i]!, parts[i + 1]!]);
    return rowOf(pairs);
  });
}

/** InfluxDB's line protocol: rows of `measurement`, `tags`, `fields`, and `timestamp` as a text. */
export function readLineProtocol(text: string): Row[] {
  return linesOf(text)
    .filter((line) => !line.startsWith('#'))
    .map((line) => {
      const [key = '', fields = '', timestamp, more] = splitOutside(line.trim(), ' ').filter((part) => part !== '');
      if (fields === '' || more !== undefined) throw new Error(`"${line.slice(0, 60)}" is no line of the protocol`);
      const [measurement = '', ...tags] = splitOutside(key, ',');
      return {
        measurement: plain(measurement),
        tags: rowOf(tags.map((tag) => pairOf(tag)).map(([name, value]) => [name, plain(value)] as const)),
        fields: rowOf(
          splitOutside(fields, ',')
            .map((field) => pairOf(field))
            .map(([name, value]) => [name, fieldValue(value)] as const),
        ),
        ...(timestamp === undefined ? {} : { timestamp }),
      };
    });
}

/** Splits at a character that is neither escaped nor within double quotes. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const one = text[i];
    if (one === '\\') i++;
    else if (one === '"') quoted = !quoted;
    else if (one === separator && !quoted) {
      parts.push(text.slice(from, i));
      from = i + 1;
      if (parts.length > MOST_PARTS) throw new Error(`more than ${MOST_PARTS} parts`);
    }
  }
  if (quoted) throw new Error('a quoted value without its end');
  return [...parts, text.slice(from)];
}

function pairOf(text: string): readonly [string, string] {
  const [name = '', ...value] = splitOutside(text, '=');
  if (name === '' || value.length === 0) throw new Error(`"${text.slice(0, 60)}" is no name=value`);
  return [plain(name), value.join('=')];
}

const plain = (text: string): string => text.replace(/\\([,= \\"])/g, '$1');

/** `1.5`, `3i`, `3u`, `t`, `true`, `"text"`. */
function fieldValue(text: string): unknown {
  if (text[0] === '"') return plain(text.slice(1, -1));
  if (/^(t|true)$/i.test(text)) return true;
  if (/^(f|false)$/i.test(text)) return false;
  const number = Number(/^-?\d+[iu]$/.test(text) ? text.slice(0, -1) : text);
  if (text === '' || Number.isNaN(number)) throw new Error(`"${text.slice(0, 60)}" is no value of the protocol`);
  return number;
}

/** Of two values of one name the first counts. */
function rowOf(pairs: readonly (readonly [string, unknown])[]): Row {
  const row: Row = Object.create(null);
  for (const [name, value] of pairs) if (!(name in row)) row[name] = value;
  return row;
}
