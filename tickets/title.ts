import type { Device } from '../domain/index.ts';

/** What a title may speak of; `district` is its name in the language of the template. */
export interface TitleFacts {
  readonly device: Pick<Device, 'id' | 'name'>;
  readonly district: string;
  readonly value: number;
}

/** Fills in `{{device.name}}` (the id where it has none), `{{device.id}}`, `{{district}}` and `{{value}}`; leaves anything else as it is. */
export function renderTitle(template: string, facts: TitleFacts): string {
  const { device, district, value } = facts;
  const texts: Readonly<Record<string, string>> = {
    'device.name': device.name ?? device.id,
    'device.id': device.id,
    district,
    value: renderValue(value),
  };
  return template.replace(/\{\{\s*(device\.name|device\.id|district|value)\s*\}\}/g, (_, name: string) => texts[name]!);
}

/** A figure for people: two decimals, or three significant digits below 1. */
export function renderValue(value: number): string {
  return String(Math.abs(value) >= 1 ? Math.round(value * 100) / 100 : Number(value.toPrecision(3)));
}
