import type { ByteField, FrameLayout } from '../../domain/index.ts';

const BYTES: Readonly<Record<ByteField['type'], number>> = {
  ...{ u8: 1, i8: 1, u16: 2, i16: 2, u24: 3, i24: 3, u32: 4, i32: 4, f32: 4, f64: 8 },
};

type Values = Record<string, number>;

/**
 * Reads the values of a frame. Throws where it ends too early, or where a channel is not known. With channels a frame
 * is the fields, and then channels to its end; of a channel that comes again, the first counts.
 */
export function readFrame(frame: Buffer, { fields, channels }: FrameLayout): Values {
  const values: Values = Object.create(null);
  let at = readFields(frame, 0, fields, values);
  const nameBytes = (Object.keys(channels)[0]?.length ?? 0) / 2;
  while (nameBytes > 0 && at < frame.length) {
    const name = frame.toString('hex', at, at + nameBytes);
    const channel = channels[name];
    if (channel === undefined) throw new Error(`no channel "${name}" in the layout, at byte ${at}`);
    const own: Values = Object.create(null);
    at = readFields(frame, at + nameBytes, channel, own);
    for (const key in own) values[key] ??= own[key]!;
  }
  return values;
}

function readFields(frame: Buffer, from: number, fields: readonly ByteField[], values: Values): number {
  let at = from;
  for (const field of fields) {
    if (field.when !== null && !holds(field.when, values)) continue;
    const { name, type, bits, scale, offset } = field;
    if (field.at !== null) at = field.at < 0 ? frame.length + field.at : from + field.at;
    if (at < 0 || at + BYTES[type] > frame.length) {
      throw new Error(`it has ${frame.length} bytes; ${name} is ${BYTES[type]} bytes at ${at}`);
    }
    const number = within(numberAt(frame, at, field), bits);
    values[name] = scale === 1 && offset === 0 ? number : Number((number * scale + offset).toPrecision(12));
    at += BYTES[type];
  }
  return at;
}

function holds({ field, bit, equals }: NonNullable<ByteField['when']>, values: Values): boolean {
  const value = values[field];
  if (value === undefined) return false;
  if (bit !== null && Math.floor(value / 2 ** bit) % 2 !== 1) return false;
  return equals === null || value === equals;
}

function within(number: number, bits: ByteField['bits']): number {
  return bits === null ? number : Math.floor(number / 2 ** bits[0]) % 2 ** bits[1];
}

function numberAt(frame: Buffer, at: number, { type, order }: ByteField): number {
  const little = order === 'little';
  if (type === 'f32') return Number((little ? frame.readFloatLE(at) : frame.readFloatBE(at)).toPrecision(7));
  if (type === 'f64') return little ? frame.readDoubleLE(at) : frame.readDoubleBE(at);
  const bytes = BYTES[type];
  if (type[0] === 'u') return little ? frame.readUIntLE(at, bytes) : frame.readUIntBE(at, bytes);
  return little ? frame.readIntLE(at, bytes) : frame.readIntBE(at, bytes);
}
