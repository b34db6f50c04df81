import type { AuditEntry } from '../actions/index.ts';
import { csvCell, csvLine, isoOf } from '../domain/index.ts';
import type { RegisteredDevice } from '../registry/index.ts';
import type { OversightKey, OversightLine } from '../tickets/index.ts';
import { nameOfValue, type PointsFormat, type ValuesOf } from './points.ts';

/** Series as CSV with a header: times in ISO 8601 UTC; a gap is an empty value, a state has the name of its value, a
 * text its text. */
export function csvPoints(valuesOf: ValuesOf): PointsFormat {
  let start = '';
  let values: ReturnType<ValuesOf>;
  const shown = (value: number) => (values === undefined ? String(value) : csvCell(nameOfValue(values, value)));
  return {
    head: csvLine(['device', 'metric', 'unit', 'ts', 'value']),
    tail: '',
    end: () => '',
    begin({ device, metric, unit }) {
      start = csvLine([device, metric, unit]).slice(0, -2);
      values = valuesOf(metric);
      return '';
    },
    point: (ts, value) => `${start},${isoOf(ts)},${value === null ? '' : shown(value)}\r\n`,
  };
}

const AUDIT = [
  ...(['n', 'at', 'actor', 'role', 'department', 'address', 'action', 'target', 'result', 'detail'] as const),
  ...(['place', 'hash'] as const),
];

/** Entries of the audit trail as CSV with a header. */
export function auditCsv(entries: readonly AuditEntry[]): string {
  return csvLine(AUDIT) + entries.map((entry) => csvLine(AUDIT.map((key) => entry[key]))).join('');
}

const DEVICE = [
  ...(['id', 'profile', 'district', 'name', 'lat', 'lon', 'tags', 'suspended', 'registeredAt', 'gateway'] as const),
  'asset',
  'devEui',
];

/** Devices as CSV with a header; tags are `name=value`, separated by semicolons. `device import` reads it. */
export function devicesCsv(devices: readonly RegisteredDevice[]): string {
  return csvLine(DEVICE) + devices.map((device) => csvLine(deviceValues(device))).join('');
}

function deviceValues({ id, profile, district, name, location, tags = {}, ...more }: RegisteredDevice) {
  const { suspended, registeredAt } = more;
  const texts = Object.entries(tags).map(([tag, value]) => `${tag}=${value}`);
  const where = [location?.lat ?? null, location?.lon ?? null];
  return [
    id,
    profile,
    district,
    name ?? null,
    ...where,
    texts.join(';'),
    String(suspended),
    registeredAt,
    more.gateway ?? null,
    more.asset ?? null,
    more.devEui ?? null,
  ];
}

const COUNTS = ['opened', 'open', 'overdue', 'resolved', 'late', 'reopened', 'reports'] as const;
const TIMES = ['acknowledged', 'acknowledge_median_s', 'acknowledge_p90_s', 'resolve_median_s', 'resolve_p90_s'];

/**
 * The oversight report as CSV with a header: the keys of each line, counts, times in seconds, ratings; null is an empty
 * value.
 */
export function oversightCsv(by: readonly OversightKey[], lines: readonly OversightLine[]): string {
  const header = csvLine([...by, ...COUNTS, ...TIMES, 'ratings', 'rating_mean']);
  return header + lines.map((line) => csvLine([...by.map((key) => line[key]!), ...valuesOf(line)])).join('');
}

function valuesOf(line: OversightLine): (number | null)[] {
  const { acknowledge, resolve, ratings } = line;
  const times = [acknowledge.count, acknowledge.medianSeconds, acknowledge.p90Seconds];
  const counts = COUNTS.map((key) => line[key]);
  return [...counts, ...times, resolve.medianSeconds, resolve.p90Seconds, ratings.count, ratings.mean];
}
