import { expect, test } from 'vitest';
import { FAULT_GROUP, LIMIT_GROUP, type Subject } from '../../../domain/index.ts';
import { renderTitle, titlesOf } from '../../../tickets/index.ts';
import { city, rule, subject, transition } from '../../kit/tickets/scene.ts';

const facts = { device: { id: 'air-7', name: 'Pier 7' }, district: 'Harbour', value: 91.23456 };

test('title - fills in the device, the district and the value', () => {
  const title = renderTitle('{{device.name}} ({{device.id}}) in {{ district }}: {{value}}', facts);
  expect(title).toBe('Pier 7 (air-7) in Harbour: 91.23');
});

test('title - names a device by its id when it has no name', () => {
  expect(renderTitle('{{device.name}}', { ...facts, device: { id: 'air-7' } })).toBe('air-7');
});

test('title - keeps three significant digits of a value below 1', () => {
  expect(renderTitle('{{value}}', { ...facts, value: -0.012345 })).toBe('-0.0123');
});

test('title - neither expands what it filled in nor reads it as a pattern', () => {
  expect(renderTitle('{{device.name}}!', { ...facts, device: { id: 'a', name: '$& {{value}}' } })).toBe(
    '$& {{value}}!',
  );
});

test('title - leaves an unknown placeholder for its author to see', () => {
  expect(renderTitle('{{device.secret}}', facts)).toBe('{{device.secret}}');
});

test('title - shows a dash where there is no figure', () => {
  expect(renderTitle('{{value}} µg/m³', { ...facts, value: null })).toBe('– µg/m³');
});

const titles = (whom: Subject, group: string, detail?: string) => {
  const plain = transition('1.0', 'firing', { group });
  const evidence = detail === undefined ? plain.evidence : { ...plain.evidence, detail };
  return titlesOf({ transition: { ...plain, evidence }, rule, subject: whom, city });
};
const harbour = { en: 'Harbour', zh: '港区' };

test('title - names the device and its district, the district, or the city', () => {
  expect(titles(subject, 'air-7')).toEqual({
    title: 'Fine dust above 75 at Pier 7, Harbour',
    titleZh: '港区Pier 7细颗粒物超过75',
  });
  expect(titles({ kind: 'district', id: 'harbour', title: harbour }, 'harbour').title).toBe(
    'Fine dust above 75 at Harbour, Harbour',
  );
  expect(titles({ kind: 'city', title: { en: 'Port City', zh: '港城' } }, 'city').titleZh).toBe(
    '港城港城细颗粒物超过75',
  );
});

test('title - of what befell the rule itself, in both languages', () => {
  expect(titles({ kind: 'rule' }, LIMIT_GROUP)).toEqual({
    title: 'Rule pm25-unhealthy: more than 100 groups would fire',
    titleZh: '规则 pm25-unhealthy：超过 100 个对象将同时报警',
  });
  expect(titles({ kind: 'rule' }, FAULT_GROUP, 'boom').title).toBe(
    'Rule pm25-unhealthy met an error and is disabled: boom',
  );
});
