import type { LocalText } from './city.ts';
import type { Device } from './device.ts';

/** Whom an alert is about, as it stood at its transition: what its group stands for. */
export type Subject =
  | { readonly kind: 'device'; readonly device: Device }
  /** `title` is the id where the city no longer describes the district. */
  | { readonly kind: 'district'; readonly id: string; readonly title: LocalText }
  | { readonly kind: 'city'; readonly title: LocalText }
  /** The rule itself: its limit or fault alarm (`~limit`, `~fault`). */
  | { readonly kind: 'rule' };

/** Id of the district that a subject lies in; empty for the city and for a rule itself. */
export function districtOf(subject: Subject): string {
  if (subject.kind === 'device') return subject.device.district;
  return subject.kind === 'district' ? subject.id : '';
}
