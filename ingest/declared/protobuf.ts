import type { ProtoField, ProtoTypes } from '../../domain/index.ts';

const MOST_DEPTH = 16;
const MOST_FIELDS = 65_536;

/** How a value is on the wire. */
const WIRE = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const;
const SCALARS: Readonly<Record<string, { readonly wire: number; readonly read: (reader: Reader) => unknown }>> = {
  double: { wire: WIRE.fixed64, read: (reader) => reader.bytes(8).readDoubleLE() },
  float: { wire: WIRE.fixed32, read: (reader) => Number(reader.bytes(4).readFloatLE().toPrecision(7)) },
  int32: { wire: WIRE.varint, read: (reader) => Number(BigInt.asIntN(32, reader.varint())) },
  int64: { wire: WIRE.varint, read: (reader) => Number(BigInt.asIntN(64, reader.varint())) },
  uint32: { wire: WIRE.varint, read: (reader) => Number(BigInt.asUintN(32, reader.varint())) },
  uint64: { wire: WIRE.varint, read: (reader) => Number(reader.varint()) },
  sint32: { wire: WIRE.varint, read: (reader) => zigzag(reader.varint()) },
  sint64: { wire: WIRE.varint, read: (reader) => zigzag(reader.varint()) },
  fixed32: { wire: WIRE.fixed32, read: (reader) => reader.bytes(4).readUInt32LE() },
  fixed64: { wire: WIRE.fixed64, read: (reader) => Number(reader.bytes(8).readBigUInt64LE()) },
  sfixed32: { wire: WIRE.fixed32, read: (reader) => reader.bytes(4).readInt32LE() },
  sfixed64: { wire: WIRE.fixed64, read: (reader) => Number(reader.bytes(8).readBigInt64LE()) },
  bool: { wire: WIRE.varint, read: (reader) => reader.varint() !== 0n },
  string: { wire: WIRE.length, read: (reader) => reader.chunk().toString('utf8') },
  bytes: { wire: WIRE.length, read: (reader) => reader.chunk().toString('base64') },
};

/**
 * Reads a message of Protocol Buffers as an object: lists for repeated fields, objects for maps, names for
 * enumerations, base64 for bytes. A field that is not there is absent, also where proto3 has a default. Throws where it
 * is malformed.
 */
export function readProtobuf(payload: Buffer, { messages, enums }: ProtoTypes, type: string): unknown {
  let fields = 0;

  function message(reader: Reader, name: string, depth: number): Record<string, unknown> {
    if (depth > MOST_DEPTH) throw new Error(`nested deeper than ${MOST_DEPTH} levels`);
    const found: Record<string, unknown> = Object.create(null);
    while (!reader.done()) {
      if (++fields > MOST_FIELDS) throw new Error(`more than ${MOST_FIELDS} fields`);
      const key = Number(reader.varint());
      const field = messages[name]![Math.floor(key / 8)];
      const wire = key % 8;
      if (field === undefined) reader.skip(wire);
      else put(found, field, reader, wire, depth);
    }
    return found;
  }

  function put(found: Record<string, unknown>, field: ProtoField, reader: Reader, wire: number, depth: number): void {
    const { name, type, repeated } = field;
    if (field.map) {
      const { key, value } = message(new Reader(reader.chunk()), type, depth + 1);
      found[name] ??= Object.create(null);
      (found[name] as Record<string, unknown>)[String(key ?? '')] = value ?? null;
    } else if (!repeated) found[name] = one(type, reader, wire, name, depth);
    else {
      found[name] ??= [];
      const list = found[name] as unknown[];
      if (wire === WIRE.length && wireOf(type) !== WIRE.length) {
        const packed = new Reader(reader.chunk());
        while (!packed.done()) {
          if (++fields > MOST_FIELDS) throw new Error(`more than ${MOST_FIELDS} fields`);
          list.push(one(type, packed, wireOf(type), name, depth));
        }
      } else list.push(one(type, reader, wire, name, depth));
    }
  }

  function one(type: string, reader: Reader, wire: number, name: string, depth: number): unknown {
    if (wire !== wireOf(type)) throw new Error(`the field ${name} has wire type ${wire}, not ${wireOf(type)}`);
    const scalar = SCALARS[type];
    if (scalar !== undefined) return scalar.read(reader);
    const names = enums[type];
    if (names === undefined) return message(new Reader(reader.chunk()), type, depth + 1);
    const number = Number(BigInt.asIntN(32, reader.varint()));
    return names[number] ?? number;
  }

  function wireOf(type: string): number {
    return SCALARS[type]?.wire ?? (type in enums ? WIRE.varint : WIRE.length);
  }

  return message(new Reader(payload), type, 1);
}

function zigzag(value: bigint): number {
  return Number((value >> 1n) ^ -(value & 1n));
}

/** Reads the parts of a message one after another. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length)
      throw new Error(`it ends within a field, ${end - this.#bytes.length} bytes too early`);
    const found = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return found;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes(1)[0]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new Error('a number has more than ten bytes');
  }

  chunk(): Buffer {
    return this.bytes(Number(this.varint()));
  }

  skip(wire: number): void {
    if (wire === WIRE.varint) this.varint();
    else if (wire === WIRE.fixed64) this.bytes(8);
    else if (wire === WIRE.length) this.chunk();
    else if (wire === WIRE.fixed32) this.bytes(4);
    else throw new Error(`wire type ${wire} is not known`);
  }
}
