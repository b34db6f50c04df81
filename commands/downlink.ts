import { createHash } from 'node:crypto';
import {
  type DeviceCommand,
  DOWNLINK_PART,
  type Downlink,
  type DownlinkSpec,
  type DownlinkType,
  type NetworkPath,
  type Parameters,
} from '../domain/index.ts';

type Writer = (bytes: Buffer, value: number) => unknown;
const WRITERS: Readonly<Record<DownlinkType, { readonly length: number; readonly write: Writer }>> = {
  u8: { length: 1, write: (bytes, value) => bytes.writeUInt8(value) },
  i8: { length: 1, write: (bytes, value) => bytes.writeInt8(value) },
  u16: { length: 2, write: (bytes, value) => bytes.writeUInt16BE(value) },
  i16: { length: 2, write: (bytes, value) => bytes.writeInt16BE(value) },
  u32: { length: 4, write: (bytes, value) => bytes.writeUInt32BE(value) },
  i32: { length: 4, write: (bytes, value) => bytes.writeInt32BE(value) },
  u16le: { length: 2, write: (bytes, value) => bytes.writeUInt16LE(value) },
  i16le: { length: 2, write: (bytes, value) => bytes.writeInt16LE(value) },
  u32le: { length: 4, write: (bytes, value) => bytes.writeUInt32LE(value) },
  i32le: { length: 4, write: (bytes, value) => bytes.writeInt32LE(value) },
};

type Asked = Pick<DeviceCommand, 'id' | 'command' | 'parameters'>;

/**
 * Returns the message by which a network server sends a command to a device: a confirmed downlink, with the bytes that
 * the profile says, or with the parameters for the codec of the network server. Throws a `RangeError` where a value
 * does not fit its bytes.
 */
export function downlinkOf(asked: Asked, { port, bytes: template }: DownlinkSpec, to: NetworkPath): Downlink {
  const bytes = template === null ? null : bytesOf(template, asked.parameters).toString('base64');
  const object = { command: asked.command, ...asked.parameters };
  if (to.server === 'things-stack') {
    const payload = bytes === null ? { decoded_payload: object } : { frm_payload: bytes };
    const how = { f_port: port, confirmed: true, priority: 'NORMAL', correlation_ids: [`lamppost:${asked.id}`] };
    const body = JSON.stringify({ downlinks: [{ ...how, ...payload }] });
    return { topic: `${to.path}/down/push`, key: to.key, reference: asked.id, payload: body };
  }
  // ChirpStack 4 takes UUIDs only; the device is the last level but one.
  const reference = uuidOf(asked.id);
  const how = { id: reference, devEui: to.path.split('/').at(-1), confirmed: true, fPort: port };
  const body = JSON.stringify({ ...how, ...(bytes === null ? { object } : { data: bytes }) });
  return { topic: `${to.path}/command/down`, key: to.key, reference, payload: body };
}

function bytesOf(template: string, parameters: Parameters): Buffer {
  const parts = template.split(/(\{[^}]*\})/).filter((part) => part !== '');
  return Buffer.concat(
    parts.map((part) => {
      const found = DOWNLINK_PART.exec(part);
      if (found === null) return Buffer.from(part, 'hex');
      const { length, write } = WRITERS[found[2] as DownlinkType];
      const bytes = Buffer.alloc(length);
      write(bytes, Math.round(Number(parameters[found[1]!])));
      return bytes;
    }),
  );
}

/** A UUID of version 8 (RFC 9562) that is a function of the command. */
function uuidOf(id: string): string {
  const hex = createHash('sha256').update(`lamppost command ${id}`).digest('hex');
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-');
}
