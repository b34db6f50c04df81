import { expect, test } from 'vitest';
import { renderTitle } from '../../../tickets/index.ts';

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
