/** A metric as a test writes it; `value` goes by its type. */
export interface SparkplugMetric {
  readonly name?: string;
  readonly alias?: number;
  readonly timestamp?: number;
  readonly type?: keyof typeof TYPES;
  /** Whether the type is left out, as DATA messages may. */
  readonly untyped?: true;
  readonly value?: number | boolean | string | null;
}

const TYPES = {
  Int8: 1,
  Int16: 2,
  Int32: 3,
  Int64: 4,
  UInt32: 7,
  UInt64: 8,
  Float: 9,
  Double: 10,
  Boolean: 11,
  String: 12,
};

function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(left & 127n) | (left > 127n ? 128 : 0));
    left >>= 7n;
  } while (left > 0n);
  return Buffer.from(bytes);
}

const number = (field: number, value: number | bigint) => Buffer.concat([varint(field * 8), varint(value)]);
const chunk = (field: number, bytes: Buffer) => Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);

function fixed(field: number, wire: 1 | 5, value: number): Buffer {
  const bytes = Buffer.alloc(wire === 1 ? 8 : 4);
  if (wire === 1) bytes.writeDoubleLE(value);
  else bytes.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + wire), bytes]);
}

function bytesOfValue(type: keyof typeof TYPES, value: number | boolean | string): Buffer {
  if (typeof value === 'string') return chunk(15, Buffer.from(value));
  if (typeof value === 'boolean') return number(14, value ? 1 : 0);
  if (type === 'Double') return fixed(13, 1, value);
  if (type === 'Float') return fixed(12, 5, value);
  if (type === 'Int64' || type === 'UInt64') return number(11, BigInt(value));
  return number(10, value < 0 ? value + 2 ** 32 : value);
}

function metricOf({ name, alias, timestamp, type = 'Double', untyped, value }: SparkplugMetric): Buffer {
  const parts = [
    name === undefined ? [] : chunk(1, Buffer.from(name)),
    alias === undefined ? [] : number(2, alias),
    timestamp === undefined ? [] : number(3, timestamp),
    untyped ? [] : number(4, TYPES[type]),
    value === null ? number(7, 1) : value === undefined ? [] : bytesOfValue(type, value),
  ];
  return Buffer.concat(parts.flat());
}

/** Returns a payload of Sparkplug B, by the text of its specification (§6.4.1) rather than by our reader. */
export function sparkplug(metrics: readonly SparkplugMetric[], seq: number | null, timestamp?: number): Buffer {
  return Buffer.concat([
    ...(timestamp === undefined ? [] : [number(1, timestamp)]),
    ...metrics.map((metric) => chunk(2, metricOf(metric))),
    ...(seq === null ? [] : [number(3, seq)]),
  ]);
}
