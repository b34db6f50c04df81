import { expect, test } from 'vitest';
import { STATUS } from '../../../api/problem.ts';
import { en } from '../../../console/src/texts/en.ts';
import { publicEn } from '../../../console/src/texts/public-en.ts';
import { publicZh } from '../../../console/src/texts/public-zh.ts';
import { isRefusal, refusalText } from '../../../console/src/texts/refusals.ts';
import { zh } from '../../../console/src/texts/zh.ts';
import {
  COMMAND_REFUSALS,
  EVENT_TYPES,
  HISTORY_ACTIONS,
  PERSON_REFUSALS,
  REASONS,
  REGISTRY_REFUSALS,
  REPORT_REFUSALS,
  RULE_REFUSALS,
  SEVERITIES,
  TICKET_REFUSALS,
  TICKET_STATUSES,
} from '../../../domain/index.ts';
import { ACTIONS } from '../../../tickets/index.ts';

const CATALOGUES: readonly (readonly [name: string, en: Texts, zh: Texts])[] = [
  ['the console', en, zh],
  ['the public page', publicEn, publicZh],
];
type Texts = Readonly<Record<string, string>>;

const placesIn = (text: string) => Array.from(text.matchAll(/\{(\w+)\}/g), ([, name]) => name).sort();

test.each(CATALOGUES)(
  'texts - both languages of %s have every key, with the same values in it',
  (_name, english, chinese) => {
    expect(Object.keys(chinese).sort()).toEqual(Object.keys(english).sort());
    for (const [key, text] of Object.entries(english)) expect(placesIn(chinese[key]!), key).toEqual(placesIn(text));
  },
);

test.each(CATALOGUES)('texts - no text of %s in Chinese is the English one', (_name, english, chinese) => {
  const same = Object.entries(english).filter(
    ([key, text]) => chinese[key] === text && /[a-z]{3}/.test(text.replace(/\{\w+\}/g, '')),
  );
  expect(same).toEqual([]);
});

test('texts - every name on the wire that a page shows has one', () => {
  const changes = HISTORY_ACTIONS.map((action) => `city.lamppost.ticket.${action}`);
  const others = EVENT_TYPES.filter((type) => !changes.includes(type));
  const wanted = [
    ...SEVERITIES.map((name) => `severity.${name}`),
    ...TICKET_STATUSES.map((name) => `status.${name}`),
    ...HISTORY_ACTIONS.map((name) => `change.${name}`),
    ...ACTIONS.map((name) => `action.${name}`),
    ...Object.keys(REASONS).map((name) => `fault.${name}`),
    ...others.map((type) => `event.${type.replace('city.lamppost.', '')}`),
  ];
  expect(wanted.filter((key) => !(key in en))).toEqual([]);
});

const REFUSALS = Object.keys({
  ...COMMAND_REFUSALS,
  ...PERSON_REFUSALS,
  ...REGISTRY_REFUSALS,
  ...REPORT_REFUSALS,
  ...RULE_REFUSALS,
  ...TICKET_REFUSALS,
});
const STATUSES = [401, 405, 408, 413, 415, 500, ...Object.values(STATUS)];

test('texts - every reason, code and status of a refusal is in the catalogue, and Chinese on a Chinese page', () => {
  const names = [...REFUSALS, ...Object.keys(STATUS), ...STATUSES.map(String)];
  expect(names.filter((name) => !isRefusal(name))).toEqual([]);
  for (const reason of names) {
    const chinese = refusalText({ status: 418, reason, detail: '' }, 'zh');
    expect(chinese, reason).toMatch(/[\u4e00-\u9fff]{2}/);
    // Names that are the same in both languages are left out.
    expect(chinese.replace(/JPEG|PNG|WebP|MB/g, ''), reason).not.toMatch(/[a-z]{2}|\{/i);
  }
});

test('texts - a refusal in English is the catalogue by its reason, else what the server says', () => {
  const detail = 'fill: $& is not a number';
  expect(refusalText({ status: 409, reason: 'same-department', detail }, 'en')).toMatch(/^The ticket is already/);
  expect(refusalText({ status: 400, reason: 'invalid', detail }, 'en')).toBe(detail);
  expect(refusalText({ status: 422, reason: 'rule-mistakes', detail }, 'en')).toBe(`The rule has mistakes: ${detail}`);
  expect(refusalText({ status: 400, reason: '', detail }, 'zh')).toBe(`内容有误，请改正：${detail}`);
  expect(refusalText({ status: 502, reason: '', detail: '' }, 'zh')).toBe('');
});
