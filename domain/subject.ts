import type { LocalText } from './city.ts';
import type { Device } from './device.ts';

/** The device, district, city or rule that an alert is about, as it was at the transition. */
export type Subject =
  | { readonly kind: 'device'; readonly device: Device }
  /** `title` is the id where the city has no such district any more. */
  | { readonly kind: 'district'; readonly id: string; readonly title: LocalText }
  | { readonly kind: 'city'; readonly title: LocalText }
  /** The rule itself: its limit or fault alarm (`~limit`, `~fault`). */
  | { readonly kind: 'rule' };

/** Returns the id of the district of a subject; empty for the city and for a rule. */
export function districtOf(subject: Subject): string {
  if (subject.kind === 'device') return subject.device.district;
  return subject.kind === 'district' ? subject.id : '';
}
