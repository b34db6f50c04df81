import { createZone, type TimeField } from '../../domain/index.ts';

/** ms in one of the unit. */
const UNITS: Readonly<Record<string, number>> = { s: 1_000, ms: 1, us: 1e-3, ns: 1e-6 };
const ISO_WITHOUT_ZONE = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?$/;
const PARTS = ['YYYY', 'MM', 'DD', 'HH', 'mm', 'ss'] as const;
const LONGEST = 64;

/**
 * Returns a function that turns a time of a message into what a reading takes: ISO 8601 with a zone, or epoch ms. What
 * it cannot read it returns as it is, and validation refuses it.
 */
export function timeReader({ unit, zone }: TimeField, cityZone: string): (value: unknown) => unknown {
  const { toUtc } = createZone(zone ?? cityZone);
  if (unit === 'iso') return (value) => (isText(value) ? fromIso(value, toUtc) : value);
  if (unit === 'epoch') return (value) => fromNumber(value, scaleOf);
  const scale = UNITS[unit];
  if (scale !== undefined) return (value) => fromNumber(value, () => scale);
  const read = patternReader(unit);
  return (value) => {
    const parts = isText(value) ? read(value) : null;
    const localMs = parts === null ? Number.NaN : localOf(parts);
    return Number.isNaN(localMs) ? value : toUtc(localMs);
  };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= LONGEST;

/** Of numbers since 1970: a second has eleven digits until the year 5138, and each smaller unit three more. */
function scaleOf(number: number): number {
  const size = Math.abs(number);
  if (size < 1e11) return UNITS.s!;
  if (size < 1e14) return UNITS.ms!;
  return size < 1e17 ? UNITS.us! : UNITS.ns!;
}

function fromNumber(value: unknown, scale: (number: number) => number): unknown {
  const number = isText(value) && /^-?\d{1,20}(\.\d{1,9})?$/.test(value) ? Number(value) : value;
  return typeof number === 'number' ? Math.round(number * scale(number)) : value;
}

/** A time with a zone stays as it is; `2026-01-31 12:00:00` is local time. */
function fromIso(text: string, toUtc: (localMs: number) => number): unknown {
  const parts = ISO_WITHOUT_ZONE.exec(text);
  if (parts === null) return text.replace(/^(\d{4}-\d\d-\d\d) (?=\d)/, '$1T');
  const [year, month, day, hour = '0', minute = '0', second = '0', fraction = '0'] = parts.slice(1);
  const ms = localOf([year!, month!, day!, hour, minute, second].map(Number));
  return Number.isNaN(ms) ? text : Math.round(toUtc(ms) + Number(`0.${fraction}`) * 1_000);
}

/** Returns local ms; NaN where the date or the time does not exist. */
function localOf([year, month, day, hour, minute, second]: readonly number[]): number {
  const ms = Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
  const date = new Date(ms);
  const exists = date.getUTCMonth() === month! - 1 && date.getUTCDate() === day! && hour! < 24 && minute! < 60;
  return exists && second! < 61 ? ms : Number.NaN;
}

/** `DD.MM.YYYY HH:mm:ss`: each part has its digits, everything else stands as it is. */
function patternReader(pattern: string): (text: string) => number[] | null {
  const order: number[] = [];
  const source = pattern.replace(/YYYY|MM|DD|HH|mm|ss|[^A-Za-z0-9]/g, (part) => {
    const at = PARTS.indexOf(part as (typeof PARTS)[number]);
    if (at === -1) return `\\u{${part.codePointAt(0)!.toString(16)}}`;
    order.push(at);
    return part === 'YYYY' ? '(\\d{4})' : '(\\d\\d)';
  });
  const shape = new RegExp(`^${source}$`, 'u');
  return (text) => {
    const found = shape.exec(text);
    if (found === null) return null;
    const parts = [Number.NaN, 1, 1, 0, 0, 0];
    for (const [i, at] of order.entries()) parts[at] = Number(found[i + 1]);
    return parts;
  };
}
