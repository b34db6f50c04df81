import { z } from 'zod';
import {
  BYTE_TYPES,
  type CityFile,
  type CityProblem,
  CONTENTS,
  type DeclaredFormat,
  type FrameLayout,
  type ProtoTypes,
  QUALITIES,
  suggest,
  unknownName,
} from '../domain/index.ts';
import { compilePath } from './paths.ts';
import { readProto } from './proto.ts';
import { Id, strict, Zone } from './schema.ts';
import type { Source } from './source.ts';
import { partsOf, patternFault, sameTopics } from './topic-patterns.ts';
import { convert, knownUnits } from './units.ts';
import { unless } from './wording.ts';

const MOST_FORMATS = 200;
const MOST_FIELDS = 256;
/** The names of built-in formats, and of other topics of devices. */
const TAKEN = [
  ...['readings', 'senml', 'senml-cbor', 'sensor-community', 'results'],
  ...['rejections', 'commands', 'desired', 'reported', 'status', 'http'],
];

const PathText = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    const path = compilePath(text);
    if (typeof path === 'string') context.addIssue(path);
  });
const Name = z.string().min(1).max(256);
const Scale = z.number().default(1);
const Offset = z.number().default(0);
const UNITS_OF_TIME = ['iso', 'epoch', 's', 'ms', 'us', 'ns'];

const TimeUnit = z.string().superRefine((unit, context) => {
  if (UNITS_OF_TIME.includes(unit) || (/YYYY/.test(unit) && /MM/.test(unit) && /DD/.test(unit))) return;
  context.addIssue(
    `"${unit}" is none of ${UNITS_OF_TIME.join(', ')}, and no pattern such as "DD.MM.YYYY HH:mm:ss"${suggest(unit, UNITS_OF_TIME)}`,
  );
});

const Time = z
  .union([
    strict({ at: PathText, unit: TimeUnit.default('iso'), zone: Zone.nullable().default(null) }),
    PathText.transform((at) => ({ at, unit: 'iso', zone: null })),
  ])
  .nullable();

const Value = z.union([
  strict({
    at: PathText,
    unit: z.string().nullable().default(null),
    unit_at: PathText.nullable().default(null),
    map: z.record(z.string(), z.number()).default({}),
    scale: Scale,
    offset: Offset,
    when: PathText.nullable().default(null),
    quality: PathText.nullable().default(null),
    quality_at: PathText.nullable().default(null),
    qualities: z.record(z.string(), z.enum(QUALITIES)).default({}),
  }),
  PathText.transform((at) => ({
    ...{ at, unit: null, unit_at: null, map: {}, scale: 1, offset: 0, when: null, quality: null },
    ...{ quality_at: null, qualities: {} },
  })),
]);

const Entries = strict({
  of: PathText,
  key: PathText.nullable().default(null),
  value: PathText,
  unit: PathText.nullable().default(null),
  when: PathText.nullable().default(null),
});

const Bits = z.tuple([z.number().int().min(0).max(31), z.number().int().min(1).max(32)]);
const When = strict({
  field: z.string(),
  bit: z.number().int().min(0).max(31).nullable().default(null),
  equals: z.number().nullable().default(null),
});
const ByteFieldSchema = strict({
  name: Name,
  type: z.enum(BYTE_TYPES),
  order: z.enum(['big', 'little']).default('big'),
  at: z.number().int().min(-65_536).max(65_536).nullable().default(null),
  bits: Bits.nullable().default(null),
  scale: Scale,
  offset: Offset,
  when: When.nullable().default(null),
});
const ByteFields = z.array(ByteFieldSchema).max(MOST_FIELDS);

const Layout = strict({
  fields: ByteFields.default([]),
  channels: z
    .record(z.string().regex(/^([0-9a-f]{2}){1,4}$/, 'bytes in lower-case hex: "0367"'), ByteFields.min(1))
    .default({}),
}).superRefine(({ fields, channels }, context) => {
  for (const fault of layoutFaults({ fields, channels })) context.addIssue(fault);
});

function layoutFaults({ fields, channels }: FrameLayout): string[] {
  const faults: string[] = [];
  const names = Object.keys(channels);
  if (names.some((name) => name.length !== names[0]!.length)) faults.push('all channels have names of one length');
  const all = [...fields, ...Object.values(channels).flat()];
  // A channel that ended before its own beginning would be read for ever.
  if (names.length > 0 && all.some(({ at }) => at !== null && at < 0))
    faults.push('beside and in channels no field is counted from the end');
  if (names.length === 0 && fields.length === 0) faults.push('neither fields nor channels');
  for (const some of [fields, ...Object.values(channels)]) {
    for (const [i, { when }] of some.entries()) {
      if (when !== null && !some.slice(0, i).some(({ name }) => name === when.field))
        faults.push(`when: no field "${when.field}" comes before`);
    }
  }
  return faults;
}

const Topics = z
  .union([
    z.array(z.string()).max(16),
    z.string({ error: unless('write "tele/{device}/SENSOR", or a list') }).transform((one) => [one]),
  ])
  .superRefine((topics, context) => {
    for (const [i, topic] of topics.entries()) {
      const message = patternFault(topic);
      if (message !== null) context.addIssue({ code: 'custom', path: topics.length > 1 ? [i] : [], message });
    }
  });

const FormatSchema = strict(
  {
    topic: Topics.default([]),
    content: z.enum(CONTENTS).default('json'),
    separator: z.string().min(1).max(8).nullable().default(null),
    equals: z.string().min(1).max(8).default('='),
    columns: z.array(Name).min(1).max(MOST_FIELDS).nullable().default(null),
    proto: strict({ file: z.string(), message: z.string() }).nullable().default(null),
    layout: Layout.nullable().default(null),
    frame: strict({ at: PathText, encoding: z.enum(['hex', 'base64']).default('base64') })
      .nullable()
      .default(null),
    rows: PathText.nullable().default(null),
    where: PathText.nullable().default(null),
    device: z.string().min(1).nullable().default(null),
    time: Time.default(null),
    id: z.union([z.array(PathText).max(4), PathText.transform((one) => [one])]).default([]),
    values: z.record(Name, Value).default({}),
    entries: z.union([z.array(Entries).max(16), Entries.transform((one) => [one])]).default([]),
    flatten: PathText.nullable().default(null),
    ignore: z.array(Name).max(MOST_FIELDS).default([]),
    decimal: z.enum(['.', ',']).default('.'),
  },
  { topics: 'unknown key; did you mean "topic"? It takes a list, too', metrics: 'unknown key; did you mean "values"?' },
).superRefine((format, context) => {
  for (const [path, message] of faultsOf(format)) context.addIssue({ code: 'custom', path: [path], message });
});

type Written = z.output<typeof FormatSchema>;

/** What the keys of one format demand of each other. */
function* faultsOf(format: Written): Generator<[string, string]> {
  const { content, layout, frame, proto, device, topic } = format;
  const isBytes = content === 'bytes' || content === 'hex' || content === 'base64';
  if (isBytes && layout === null) yield ['content', `${content} needs a layout: which bytes are which value`];
  if (frame !== null && layout === null) yield ['frame', 'needs a layout: which bytes are which value'];
  if (!isBytes && frame === null && layout !== null)
    yield ['layout', 'is of bytes, hex or base64, or of a frame inside the message: write frame: { at: … }'];
  if ((content === 'protobuf') !== (proto !== null))
    yield ['proto', 'content: protobuf and proto: { file: …, message: … } belong together'];
  if (Object.keys(format.values).length > MOST_FIELDS) yield ['values', `a format has at most ${MOST_FIELDS} values`];
  yield* statefulFaults(format);
  if (content === 'home-assistant') return;
  if (!isBytes && frame === null && Object.keys(format.values).length + format.entries.length === 0) {
    if (format.flatten === null) yield ['values', 'is missing; write values, entries, or flatten: "@"'];
  }
  if (device !== null) {
    const fault = deviceFault(device, topic);
    if (fault !== null) yield ['device', fault];
  }
}

/** Formats whose messages lean on earlier ones: those are of the device that the topic or the sender names. */
function* statefulFaults({ content, device, topic, ...format }: Written): Generator<[string, string]> {
  if (content !== 'sparkplug-b' && content !== 'home-assistant') return;
  if (device !== null && !device.includes('{'))
    yield ['device', `of ${content} the topic names the device: "{device}"`];
  if (content === 'sparkplug-b') return;
  const { values, entries, flatten, rows, where, time } = format;
  const isOdd =
    Object.keys(values).length + entries.length > 0 || [flatten, rows, where, time].some((one) => one !== null);
  if (isOdd)
    yield ['content', 'of home-assistant the discovery messages say where values are: topics are all it takes'];
  if (!topic.some((one) => one.endsWith('/config')) || topic.every((one) => one.endsWith('/config')))
    yield ['topic', 'name the topics of discovery messages, which end in /config, and those of states'];
}

/** A device is a path, or a text with parts of each topic. */
function deviceFault(device: string, topics: readonly string[]): string | null {
  const parts = [...device.matchAll(/\{([^{}]*)\}/g)].map(([, name]) => name!);
  if (!device.includes('{')) {
    const path = compilePath(device);
    return typeof path === 'string' ? path : null;
  }
  for (const topic of topics) {
    const known = partsOf(topic);
    const strange = parts.find((name) => !known.includes(name));
    if (strange !== undefined) return `the topic ${topic} has no part {${strange}}${suggest(strange, known)}`;
  }
  return null;
}

/** `formats.yaml`. */
export const FormatsSchema = z
  .record(
    Id.refine((id) => !TAKEN.includes(id), { error: ({ input }) => `"${input}" is a name of Lamppost's own topics` }),
    FormatSchema,
  )
  .refine((formats) => Object.keys(formats).length <= MOST_FORMATS, `at most ${MOST_FORMATS} formats`);

/** Checks that no topic belongs to two formats, that units are known, and that proto files are there. */
export function checkFormats(
  formats: Source,
  read: z.output<typeof FormatsSchema>,
  protos: Protos,
  problems: CityProblem[],
): void {
  const before: { readonly id: string; readonly topic: string }[] = [];
  for (const [id, format] of Object.entries(read)) {
    for (const topic of format.topic) {
      const other = before.find((one) => sameTopics(one.topic, topic));
      if (other !== undefined)
        problems.push(
          formats.problem([id, 'topic'], `${topic} is also ${other.topic} of ${other.id}: a topic has one format`),
        );
      before.push({ id, topic });
    }
    for (const [name, { unit }] of Object.entries(format.values)) {
      if (unit === null || convert(unit, '1') !== 'unknown-unit') continue;
      const message = `unknown unit "${unit}"${suggest(unit, knownUnits)}`;
      problems.push(formats.problem([id, 'values', name, 'unit'], message));
    }
    const fault = format.proto === null ? null : protoFault(format.proto, protos);
    if (fault !== null) problems.push(formats.problem([id, 'proto'], fault));
  }
}

/** The proto files of the folder: their types, or what is wrong with them. */
type Protos = ReadonlyMap<string, ProtoTypes | string>;

function protoFault({ file, message }: NonNullable<Written['proto']>, protos: Protos): string | null {
  const missing = unknownName('file', file, protos);
  if (missing !== null) return missing;
  const types = protos.get(file)!;
  return typeof types === 'string' ? `${file}: ${types}` : unknownName('message', message, Object.keys(types.messages));
}

/** Reads the proto files of the folder. */
export function protosOf(files: readonly CityFile[]): Protos {
  const protos = files.filter(({ path }) => path.endsWith('.proto'));
  return new Map(protos.map(({ path, text }) => [path, readProto(text)]));
}

/** Returns the formats of a file without mistakes. */
export function formatsOf(read: z.output<typeof FormatsSchema>, protos: Protos): ReadonlyMap<string, DeclaredFormat> {
  return new Map(
    Object.entries(read).map(([id, { topic, id: idAt, proto, ...format }]) => {
      const types = proto === null ? null : (protos.get(proto.file) as ProtoTypes);
      const ofProto = proto === null ? null : { message: proto.message, types: types! };
      return [id, { ...format, id, topics: topic, id_at: idAt, proto: ofProto }];
    }),
  );
}
