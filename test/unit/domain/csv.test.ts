import { expect, test } from 'vitest';
import { csvCell, csvLine } from '../../../domain/index.ts';

test.each([
  ['plain', 'plain'],
  ['', ''],
  ['a,b', '"a,b"'],
  ['5" pipe', '"5"" pipe"'],
  ['two\nlines', '"two\nlines"'],
  ['two\rlines', '"two\rlines"'],
])('csv - %j is the cell %j', (text, cell) => {
  expect(csvCell(text)).toBe(cell);
});

test('csv - a line has a comma between values, nothing for null, and ends with CR LF', () => {
  expect(csvLine(['a', null, 1.5, 'b,c'])).toBe('a,,1.5,"b,c"\r\n');
});
