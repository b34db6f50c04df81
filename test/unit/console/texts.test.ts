import { expect, test } from 'vitest';
import { en } from '../../../console/src/texts/en.ts';
import { publicEn } from '../../../console/src/texts/public-en.ts';
import { publicZh } from '../../../console/src/texts/public-zh.ts';
import { zh } from '../../../console/src/texts/zh.ts';
import { EVENT_TYPES, HISTORY_ACTIONS, REASONS, SEVERITIES, TICKET_STATUSES } from '../../../domain/index.ts';
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
