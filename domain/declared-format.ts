import type { Quality } from './reading.ts';

/** How the bytes of a payload are read before paths look for values in them. */
export const CONTENTS = [
  'json',
  'cbor',
  'messagepack',
  'protobuf',
  'sparkplug-b',
  'home-assistant',
  'csv',
  'key-value',
  'ultralight',
  'line-protocol',
  'text',
  'bytes',
  'hex',
  'base64',
] as const;
export type Content = (typeof CONTENTS)[number];

export const BYTE_TYPES = ['u8', 'i8', 'u16', 'i16', 'u24', 'i24', 'u32', 'i32', 'f32', 'f64'] as const;

/** A number in the bytes of a frame. */
export interface ByteField {
  /** The name of the value. */
  readonly name: string;
  readonly type: (typeof BYTE_TYPES)[number];
  readonly order: 'big' | 'little';
  /** Offset of its first byte, from the end where it is negative; null: behind the field before. */
  readonly at: number | null;
  /** Bits of the number that count: the lowest is 0; null: all. */
  readonly bits: readonly [from: number, count: number] | null;
  readonly scale: number;
  readonly offset: number;
  /** The value is there only where this bit of an earlier field is 1, or where that field has this value. */
  readonly when: { readonly field: string; readonly bit: number | null; readonly equals: number | null } | null;
}

/**
 * The fields of a frame of bytes: one after another, or each behind the bytes that name it (a channel and its type).
 */
export interface FrameLayout {
  readonly fields: readonly ByteField[];
  /** By the bytes of the name in hex (`0367`); all names have the same length. */
  readonly channels: Readonly<Record<string, readonly ByteField[]>>;
}

/** Where the time of a reading is, and how it is written. */
export interface TimeField {
  readonly at: string;
  /** `iso`, a unit of the time since 1970, or a pattern such as `DD.MM.YYYY HH:mm:ss`. */
  readonly unit: string;
  /** IANA zone of times that have none; null: the city's. */
  readonly zone: string | null;
}

/** Where one value is. */
export interface ValueField {
  readonly at: string;
  /** Unit of the value; null: the profile says it. */
  readonly unit: string | null;
  /** Where the message has the unit. */
  readonly unit_at: string | null;
  /** Numbers that texts stand for: `{ "ON": 1, "OFF": 0 }`. */
  readonly map: Readonly<Record<string, number>>;
  readonly scale: number;
  readonly offset: number;
  /** An expression; the value counts only where it is true. */
  readonly when: string | null;
  /** An expression for the quality; the value is refused where it is not true. */
  readonly quality: string | null;
  /** Where the message has the quality, and which one each of its texts and numbers stands for, beside the names. */
  readonly quality_at: string | null;
  readonly qualities: Readonly<Record<string, Quality>>;
}

/** A list or object whose items are one value each: by an id, or by the key. */
export interface EntryList {
  readonly of: string;
  /** The name of the value, in the item; null: the key of the object. */
  readonly key: string | null;
  readonly value: string;
  readonly unit: string | null;
  /** An expression; the item counts only where it is true. */
  readonly when: string | null;
}

/** A field of a message of Protocol Buffers. */
export interface ProtoField {
  readonly name: string;
  /** A scalar type, or the full name of a message or an enumeration. */
  readonly type: string;
  readonly repeated: boolean;
  /** Whether it is a map: then `type` is that of its entries, with the fields `key` and `value`. */
  readonly map: boolean;
}

/** Messages by full name, with their fields by number; and enumerations, with their names by number. */
export interface ProtoTypes {
  readonly messages: Readonly<Record<string, Readonly<Record<number, ProtoField>>>>;
  readonly enums: Readonly<Record<string, Readonly<Record<number, string>>>>;
}

/** A payload format that the city folder declares. Paths are JMESPath; docs/formats.md says more. */
export interface DeclaredFormat {
  readonly id: string;
  readonly topics: readonly string[];
  readonly content: Content;
  /** Of `csv` and `key-value`: what stands between values; of `key-value` what stands behind a key. */
  readonly separator: string | null;
  readonly equals: string;
  /** The names of the columns of `csv`; null: the first line has them. */
  readonly columns: readonly string[] | null;
  /** Of `protobuf`: the message's name, and all types of its file. */
  readonly proto: { readonly message: string; readonly types: ProtoTypes } | null;
  /** The layout of `bytes`, `hex` and `base64`, or of the frame inside. */
  readonly layout: FrameLayout | null;
  /** A frame of bytes inside the message; its values are at the path `frame`. */
  readonly frame: { readonly at: string; readonly encoding: 'hex' | 'base64' } | null;
  readonly rows: string | null;
  /** An expression; other rows are ignored. */
  readonly where: string | null;
  /** A path, or parts of the topic such as `{device}`; null: the part `device` of the topic, else who sent it. */
  readonly device: string | null;
  readonly time: TimeField | null;
  /** Where the identity of the message is, in parts: the same once more is a duplicate. */
  readonly id_at: readonly string[];
  readonly values: Readonly<Record<string, ValueField>>;
  readonly entries: readonly EntryList[];
  /** All numbers below this path are values, by their dotted names. */
  readonly flatten: string | null;
  /** Names that are left out; `*` at the end stands for every end. */
  readonly ignore: readonly string[];
  /** Of numbers that are texts. */
  readonly decimal: '.' | ',';
}
