import { expect, test } from 'vitest';
import { versionsOf } from '../../../api/if-match.ts';

test.each([
  [undefined, null],
  ['*', null],
  [' * ', null],
  ['"3"', ['3']],
  ['"3", "4"', ['3', '4']],
  ['"3","4"', ['3', '4']],
  ['"3" \t,\t "4"', ['3', '4']],
  [', "3", , "4" ,', ['3', '4']],
  ['"a,b", "c"', ['a,b', 'c']],
  ['"*"', ['*']],
  ['""', ['']],
  ['"W/3"', ['W/3']],
  ['"caf\u00e9"', ['caf\u00e9']],
  ['W/"3", "4"', ['4']],
  ['"3", W/"4"', ['3']],
])('if-match - %j allows %j', (header, versions) => {
  expect(versionsOf(header)).toEqual(versions);
});

test.each(['W/"3"', 'W/"3", W/"4"'])('if-match - %j is well-formed, and weak: it matches no version', (header) => {
  expect(() => versionsOf(header)).toThrow(expect.objectContaining({ code: 'precondition' }));
  expect(() => versionsOf(header)).toThrow('is weak and matches no version; send "3"');
});

test.each([
  '',
  ' ',
  ',',
  '3',
  "'3'",
  '"3',
  '3"',
  '"3""',
  '"3" "',
  '"3, "4"',
  '"3" "4"',
  '"3";"4"',
  '"3"4',
  'w/"3"',
  'W/3',
  'W/ "3"',
  'W/*',
  '*, "3"',
  '"3", *',
  '"3", 4',
  '"a b"',
  '"a"b"',
  '"\u0001"',
])('if-match - %j is malformed, and the error says what is right', (header) => {
  expect(() => versionsOf(header)).toThrow(expect.objectContaining({ code: 'invalid' }));
  expect(() => versionsOf(header)).toThrow('is not a list of entity tags; send *, or one or more ETags');
});
