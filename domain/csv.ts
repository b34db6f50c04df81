/** Returns a text as one cell of CSV (RFC 4180): in quotes where it needs them. */
export function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Returns one line of CSV (RFC 4180); null becomes an empty value. */
export function csvLine(values: readonly (string | number | null)[]): string {
  return `${values.map((value) => csvCell(String(value ?? ''))).join(',')}\r\n`;
}
