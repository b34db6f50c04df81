interface Screen {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Progress of long work: one line that is written over on a terminal; elsewhere nothing, or lines where asked for. */
export interface Progress {
  show(line: string): void;
  /** Removes the line from a terminal. */
  clear(): void;
}

/** `asked`: lines are written also where the screen is no terminal. */
export function createProgress(asked: boolean, screen: Screen = process.stderr): Progress {
  let drawn = false;
  return {
    show(line) {
      if (screen.isTTY) screen.write(`\r\u001b[K${line}`);
      else if (asked) screen.write(`${line}\n`);
      drawn = true;
    },
    clear() {
      if (drawn && screen.isTTY) screen.write('\r\u001b[K');
      drawn = false;
    },
  };
}

/** Prints a value as JSON, or the lines that are made of it; of an empty list it says so, beside the output. */
export function print<T>(json: boolean, value: T, lines: (value: T) => readonly string[]): void {
  if (!json && Array.isArray(value) && value.length === 0) console.error('there is nothing to show');
  console.log(json ? JSON.stringify(value, null, 2) : lines(value).join('\n'));
}

/** Columns of equal width. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}
