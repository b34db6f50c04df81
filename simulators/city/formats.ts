import { isoOf } from '../../domain/index.ts';

/** A message as a device publishes it. */
export interface Published {
  readonly topic: string;
  readonly payload: string;
}

/** A sample in the native format, as `encodeSample` writes it. */
interface Native {
  readonly ts: number;
  readonly metrics: Readonly<Record<string, unknown>>;
}

type Encoder = (sample: Native, device: string) => string;

interface Spoken {
  readonly topic: (device: string) => string;
  /** The only metrics that it can say; null: any. */
  readonly says: ReadonlySet<string> | null;
  readonly encode: Encoder;
}

const json =
  (shape: (sample: Native, device: string) => unknown): Encoder =>
  (sample, device) =>
    JSON.stringify(shape(sample, device));
const native: Spoken = {
  topic: (device) => `devices/${device}/readings`,
  says: null,
  encode: json((sample) => sample),
};

/** Formats that the simulator speaks, as the sample city declares them; their names are those of `formats.yaml`. */
const FORMATS: ReadonlyMap<string, Spoken> = new Map(
  Object.entries({
    native,
    tasmota: {
      topic: (device) => `tele/${device}/SENSOR`,
      says: new Set(['temperature', 'humidity', 'pm25', 'pm10', 'power', 'voltage']),
      encode: json(({ ts, metrics: { temperature, humidity, pm25, pm10, power, voltage } }) => ({
        Time: isoOf(ts).slice(0, 19),
        ...part('BME280', { Temperature: temperature, Humidity: humidity }),
        ...part('SDS0X1', { 'PM2.5': pm25, PM10: pm10 }),
        ...part('ENERGY', { Power: power, Voltage: voltage }),
      })),
    },
    'shelly-gen2': {
      topic: (device) => `${device}/events/rpc`,
      says: new Set(['temperature', 'humidity', 'battery', 'power', 'voltage']),
      encode: json(({ ts, metrics: { temperature, humidity, battery, power, voltage } }, device) => ({
        ...{ src: device, dst: `${device}/events`, method: 'NotifyStatus' },
        params: {
          ts: ts / 1_000,
          ...part('temperature:0', { tC: temperature }),
          ...part('humidity:0', { rh: humidity }),
          ...part('devicepower:0', { battery: battery === undefined ? undefined : { percent: battery } }),
          ...part('switch:0', { apower: power, voltage }),
        },
      })),
    },
    zigbee2mqtt: {
      topic: (device) => `zigbee2mqtt/${device}`,
      says: null,
      encode: json(({ metrics }) => ({ ...metrics, linkquality: 120 })),
    },
    thingsboard: {
      topic: () => 'v1/devices/me/telemetry',
      says: null,
      encode: json(({ ts, metrics }) => ({ ts, values: metrics })),
    },
    'line-protocol': {
      topic: (device) => `line-protocol/${device}`,
      says: null,
      encode: ({ ts, metrics }, device) =>
        `sensor,device=${device} ${Object.entries(metrics)
          .map(([metric, value]) => `${metric}=${String(value)}`)
          .join(',')} ${BigInt(Math.round(ts)) * 1_000_000n}`,
    },
  } satisfies Record<string, Spoken>),
);

/** Leaves out what is not measured, and a part of which nothing is. */
function part(name: string, values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const measured = Object.entries(values).filter(([, value]) => value !== undefined);
  return measured.length === 0 ? {} : { [name]: Object.fromEntries(measured) };
}

/** What `mixed` gives the devices of a profile; others stay native. */
const MIXED: Readonly<Record<string, string>> = {
  streetlight: 'shelly-gen2',
  'waste-bin': 'zigbee2mqtt',
  noise: 'thingsboard',
  traffic: 'line-protocol',
};

/** The names that `--format` takes. */
export const SIMULATED_FORMATS: readonly string[] = [...FORMATS.keys(), 'mixed'];

/** How the devices of one profile publish: the format asked for, where the city declares it; else native. */
export function formatFor(wanted: string, profile: string, declared: ReadonlySet<string>): string {
  const name = wanted === 'mixed' ? (MIXED[profile] ?? 'native') : wanted;
  return declared.has(name) ? name : 'native';
}

/**
 * Returns a payload of the native format as a device with another format publishes it. What it cannot say it leaves
 * out; where that is all, it stays native. What a fault made unreadable is published as it is, on the topic of the
 * format.
 */
export function spoken(format: string, device: string, payload: string): Published {
  const { topic, says, encode } = FORMATS.get(format) ?? native;
  const sample = readable(payload);
  if (sample === null) return { topic: topic(device), payload };
  const isSaid = says === null || Object.keys(sample.metrics).some((metric) => says.has(metric));
  if (!isSaid) return { topic: native.topic(device), payload };
  return { topic: topic(device), payload: encode(sample, device) };
}

function readable(payload: string): Native | null {
  try {
    const sample = JSON.parse(payload) as Partial<Native> | null;
    const isWhole = typeof sample?.ts === 'number' && typeof sample.metrics === 'object' && sample.metrics !== null;
    return isWhole ? (sample as Native) : null;
  } catch {
    return null;
  }
}
