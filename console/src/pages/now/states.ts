import type { City, Device } from '../../api/schema.ts';

/** What devices are on the map, in the order of its legend. */
export const STATES = ['sending', 'silent', 'never', 'suspended'] as const;
export type DeviceState = (typeof STATES)[number];

/** A device that missed so many of its readings is silent. */
const MISSED = 3;

interface Seen {
  readonly device: string;
  readonly at: string;
}

/**
 * Returns the state of each device: suspended by somebody, without any reading, without one for three intervals of its
 * profile, or sending. `seen`: the newest reading of each; null while that is not known.
 */
export function statesOf(
  devices: readonly Pick<Device, 'id' | 'profile' | 'suspended'>[],
  seen: readonly Seen[] | null,
  profiles: readonly Pick<City['profiles'][number], 'id' | 'intervalMs'>[],
  nowMs: number,
): ReadonlyMap<string, DeviceState> {
  const newest = new Map((seen ?? []).map(({ device, at }) => [device, Date.parse(at)]));
  const intervals = new Map(profiles.map(({ id, intervalMs }) => [id, intervalMs]));
  const stateOf = ({ id, profile, suspended }: (typeof devices)[number]): DeviceState => {
    if (suspended) return 'suspended';
    if (seen === null) return 'sending';
    const at = newest.get(id);
    if (at === undefined) return 'never';
    return nowMs - at > MISSED * (intervals.get(profile) ?? Number.POSITIVE_INFINITY) ? 'silent' : 'sending';
  };
  return new Map(devices.map((device) => [device.id, stateOf(device)]));
}
