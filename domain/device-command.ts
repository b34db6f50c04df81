import { z } from 'zod';
import type { LocalText } from './city.ts';
import type { ShapeOf } from './schema.ts';

/** The states of a command to a device; from the second line on nothing changes any more. */
export const COMMAND_STATES = [
  ...(['queued', 'sent'] as const),
  ...(['acknowledged', 'failed', 'expired', 'superseded', 'cancelled'] as const),
] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** Reports whether the device may still be waited for. */
export const isOpenCommand = (state: CommandState): boolean => state === 'queued' || state === 'sent';

const MOST_PARAMETERS = 32;
const LONGEST_TEXT = 200;

/** The value of one parameter. */
const ParameterValueSchema = z.union([z.number(), z.boolean(), z.string().max(LONGEST_TEXT)]);
type ParameterValue = ShapeOf<typeof ParameterValueSchema>;

/** Parameters of a command by their name. */
export const ParametersSchema = z
  .record(z.string().max(64), ParameterValueSchema)
  .refine((given) => Object.keys(given).length <= MOST_PARAMETERS, `at most ${MOST_PARAMETERS} parameters`)
  .meta({ maxProperties: MOST_PARAMETERS });
export type Parameters = ShapeOf<typeof ParametersSchema>;

/** What a profile says of one parameter: `min` and `max` of numbers, or the only values that are right. */
export interface ParameterSpec {
  readonly type: 'number' | 'integer' | 'string' | 'boolean';
  readonly min: number | null;
  readonly max: number | null;
  readonly enum: readonly (string | number)[] | null;
  readonly optional: boolean;
}

/** How a network server passes a command to a LoRaWAN device. */
export interface DownlinkSpec {
  /** `fPort`. */
  readonly port: number;
  /** Hexadecimal digits, with `{parameter:u16}` in between; null: the codec of the network server makes them. */
  readonly bytes: string | null;
}

const DOWNLINK_TYPES = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u16le', 'i16le', 'u32le', 'i32le'] as const;
export type DownlinkType = (typeof DOWNLINK_TYPES)[number];
/** A parameter in the bytes of a downlink: its name and its type. */
export const DOWNLINK_PART = new RegExp(String.raw`^\{([A-Za-z_][A-Za-z0-9_-]*):(${DOWNLINK_TYPES.join('|')})\}$`);

/** Where a network server takes downlinks of a device, as the newest uplink shows. */
export interface NetworkPath {
  readonly server: 'chirpstack' | 'things-stack';
  /** What the topics of the device begin with: `application/7/device/70b3d57ed0001234`. */
  readonly path: string;
  /** The key in whose name its uplinks come. */
  readonly key: string;
  /** The DevEUI of the hardware that sent the uplink, where it is not the id of the device. */
  readonly devEui?: string;
}

/** A command that devices of a profile obey. */
export interface CommandSpec {
  readonly id: string;
  readonly title: LocalText;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  /** Whether it may be sent without a person who confirms it. */
  readonly automatic: boolean;
  /** For how long it is valid where nobody says until when, ms. */
  readonly validForMs: number;
  /** Null: it is published to the device itself. */
  readonly downlink: DownlinkSpec | null;
}

const DownlinkSchema = z.object({
  topic: z.string(),
  key: z.string().describe('The key of the network server that gets it'),
  reference: z.string().describe('By what the network server names it in its acknowledgement'),
  payload: z.string(),
});
/** A message to a network server. */
export type Downlink = ShapeOf<typeof DownlinkSchema>;

/** A command to a device, and what became of it. Times are ISO 8601 UTC. */
export const DeviceCommandSchema = z
  .object({
    id: z.string().describe('The device gets it more than once at times: they differ by their ids'),
    device: z.string(),
    command: z.string(),
    parameters: z.record(z.string(), ParameterValueSchema),
    qos: z.union([z.literal(0), z.literal(1)]).describe('0: only a device that is connected gets it'),
    state: z.enum(COMMAND_STATES),
    departments: z.array(z.string()).readonly().describe('Those of the profile of the device; none: the city'),
    by: z.string().describe('Id of the key, `person:<id>`, or `rule:<id>` where nobody had to confirm it'),
    ticket: z.string().nullable().describe('The ticket that it was sent for; null: none'),
    createdAt: z.iso.datetime(),
    validUntil: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    message: z.string().nullable().describe('What the device said, or why it ended'),
    downlink: DownlinkSchema.exactOptional().describe('How it goes to a LoRaWAN device; absent: to the device itself'),
  })
  .meta({ id: 'DeviceCommand', description: 'A command to a device, and what became of it' });
export type DeviceCommand = ShapeOf<typeof DeviceCommandSchema>;

/** What a device says of a command: the payload of `devices/{id}/results`. */
export const CommandResultSchema = z.strictObject({
  id: z.string().max(100).describe('Id of the command'),
  status: z.enum(['done', 'failed']),
  message: z.string().max(500).exactOptional(),
});
export type CommandResult = ShapeOf<typeof CommandResultSchema>;

/** How deep a state may be nested, how many values it may have, and bytes of its JSON. */
export const STATE_BOUNDS = { levels: 8, values: 256, bytes: 8_192 } as const;

/** A state of a device, desired or reported: names and values. */
export const DeviceStateSchema = z
  .record(z.string().max(64), z.unknown())
  .meta({ description: 'Names and values', maxProperties: STATE_BOUNDS.values });
export type DeviceState = ShapeOf<typeof DeviceStateSchema>;

/** What somebody wants a device to be. */
export const DesiredStateSchema = z
  .object({
    device: z.string(),
    version: z.int().describe('1, 2, 3 …; `If-Match` names it. 0: nothing was desired yet'),
    desired: DeviceStateSchema.nullable(),
    departments: z.array(z.string()).readonly(),
    by: z.string().nullable(),
    updatedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'DesiredState', description: 'What a device is wanted to be' });
export type DesiredState = ShapeOf<typeof DesiredStateSchema>;

/** The desired state beside what the device reported. */
export const DeviceTwinSchema = DesiredStateSchema.extend({
  reported: DeviceStateSchema.nullable().describe('Null where it never reported a state'),
  reportedAt: z.iso.datetime().nullable(),
  drift: z.array(z.string()).readonly().describe('JSON pointers of what is desired and not reported so, at most 100'),
}).meta({ id: 'DeviceTwin', description: 'What a device is wanted to be, and what it says that it is' });
export type DeviceTwin = ShapeOf<typeof DeviceTwinSchema>;

/**
 * What a device said beside readings, as the log has it. `replayedMs`: when it came first, where it is replayed;
 * absent: it has just come.
 */
export type DeviceSaid = { readonly device: string; readonly replayedMs?: number } & (
  | { readonly result: CommandResult }
  | { readonly reported: DeviceState }
  /** Of a LoRaWAN device: its network server says so with its uplinks. */
  | { readonly network: NetworkPath }
  /** Of a gateway: it published for a device that its profile enrols. */
  | { readonly enrol: string }
);

/** Returns what is wrong with the parameters of a command, and what would be right; null where they are right. */
export function parameterFault({ parameters }: CommandSpec, given: Parameters): string | null {
  for (const name of Object.keys(given)) {
    if (!parameters.has(name))
      return `unknown parameter "${name}"; known: ${[...parameters.keys()].join(', ') || 'none'}`;
  }
  for (const [name, spec] of parameters) {
    const value = Object.hasOwn(given, name) ? given[name]! : null;
    if (value === null && !spec.optional) return `${name} is missing: ${rightOf(spec)}`;
    if (value !== null && !isRight(value, spec)) return `${name} is ${JSON.stringify(value)}: it is ${rightOf(spec)}`;
  }
  return null;
}

function isRight(value: ParameterValue, spec: ParameterSpec): boolean {
  if (spec.type === 'integer' ? !Number.isSafeInteger(value) : typeof value !== spec.type) return false;
  if (spec.enum !== null && !(spec.enum as readonly ParameterValue[]).includes(value)) return false;
  if (typeof value !== 'number') return true;
  return value >= (spec.min ?? Number.NEGATIVE_INFINITY) && value <= (spec.max ?? Number.POSITIVE_INFINITY);
}

function rightOf({ type, min, max, enum: only }: ParameterSpec): string {
  if (only !== null) return `one of ${only.join(', ')}`;
  const bounds = [min === null ? [] : `from ${min}`, max === null ? [] : `to ${max}`].flat().join(' ');
  return [`a ${type}`, bounds].filter(Boolean).join(' ').replace('a integer', 'an integer');
}

const MOST_DRIFT = 100;

/** Returns the JSON pointers (RFC 6901) of what is desired and not reported so. Lists are compared as a whole. */
export function driftOf(desired: DeviceState, reported: DeviceState | null, at = ''): string[] {
  const found: string[] = [];
  for (const [name, wanted] of Object.entries(desired)) {
    const path = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const is = reported !== null && Object.hasOwn(reported, name) ? reported[name] : undefined;
    if (isMap(wanted)) found.push(...driftOf(wanted, isMap(is) ? is : null, path));
    else if (JSON.stringify(wanted) !== JSON.stringify(is)) found.push(path);
  }
  return found.slice(0, MOST_DRIFT);
}

const isMap = (value: unknown): value is DeviceState =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns a state after a merge patch (RFC 7396): null removes. */
export function mergedState(before: DeviceState, patch: DeviceState): DeviceState {
  const after: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete after[name];
    else after[name] = isMap(value) ? mergedState(isMap(before[name]) ? before[name] : {}, value) : value;
  }
  return after;
}
