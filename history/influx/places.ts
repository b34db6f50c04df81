import type { ReadingColumns, ReadingsFilter } from '../../domain/index.ts';
import { literal } from './influxql.ts';

/**
 * In which districts devices are and were: readings keep the district in which they were measured as a tag, but a
 * district is asked for by the devices that are there now, with all their readings.
 */
export class Places {
  readonly #now = new Map<string, string>();
  /** Only those that moved: every district they were in. */
  readonly #moved = new Map<string, Set<string>>();

  /** Takes the devices of a batch; the last district named is the present one. */
  learn(batches: readonly ReadingColumns[]): void {
    for (const { length, device } of batches) {
      for (let row = 0; row < length; row++) {
        const one = device[row]!;
        if (row > 0 && one === device[row - 1]) continue;
        if (this.#now.get(one.id) !== one.district) this.#move(one.id, one.district, true);
      }
    }
  }

  /** Takes what the database remembers: a district in which the device was, the newest of all if nothing newer is known. */
  remember(device: string, district: string, newest: boolean): void {
    this.#move(device, district, newest && !this.#now.has(device));
  }

  /** Where the device is. */
  of(device: string): string | undefined {
    return this.#now.get(device);
  }

  /** Devices and district of a filter as a condition on tags; null where nothing can match. */
  condition({ devices, district }: ReadingsFilter): string | null {
    if (devices?.length === 0) return null;
    const parts = [devices === undefined ? `"device" != ''` : oneOf(devices)];
    if (district !== undefined) parts.push(this.#inDistrict(district));
    return parts.join(' and ');
  }

  #inDistrict(district: string): string {
    const here: string[] = [];
    const gone: string[] = [];
    for (const [device, districts] of this.#moved) {
      if (this.#now.get(device) === district) here.push(device);
      else if (districts.has(district)) gone.push(`"device" != ${literal(device)}`);
    }
    const tagged = [`"district" = ${literal(district)}`, ...gone].join(' and ');
    return here.length === 0 ? `(${tagged})` : `((${tagged}) or ${oneOf(here)})`;
  }

  #move(device: string, district: string, present: boolean): void {
    const before = this.#now.get(device);
    if (present) this.#now.set(device, district);
    if (before === undefined || before === district) return;
    const known = this.#moved.get(device) ?? new Set([before]);
    this.#moved.set(device, known.add(district));
  }
}

function oneOf(devices: readonly string[]): string {
  return `(${devices.map((device) => `"device" = ${literal(device)}`).join(' or ')})`;
}
