/**
 * A block as a message of the stream. Little endian:
 *
 * ```
 * message = headerLength:u32  header (JSON, UTF-8)  body
 * ```
 *
 * The sequence number of the message is the number of the block. What the stream does not say, such as the number of
 * messages before it, every node counts by itself.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Block, BlockKind } from '../../domain/index.ts';
import { LamppostError } from '../../domain/index.ts';
import { KINDS } from '../blocks.ts';
import type { NewBlock } from '../writer.ts';

/** The newest version of records that this Lamppost reads; it reads those before, too. */
const NEWEST_VERSION = 1;
/**
 * The version of the records that it writes: that of the oldest Lamppost that decides the same about them. Only a
 * record that has or means something new gets a higher one, so that a node that is upgraded stops no other by its first
 * tick.
 */
const VERSION = 1;

/** What every node knows of a block before it is numbered. */
export interface WireBlock {
  readonly kind: BlockKind;
  readonly count: number;
  readonly head: string | null;
  readonly steadyAt: number;
  readonly offsetMs: number;
  /** The node that appended it. */
  readonly node: string;
  readonly body: Uint8Array;
}

interface Header extends Omit<WireBlock, 'body' | 'kind'> {
  readonly v: number;
  readonly kind: string;
  /** Whether the body is compressed (deflate); absent: no. */
  readonly packed?: true;
}

/** Control records of this size are compressed: cities and lists of devices become a tenth. */
const PACKED_FROM = 32 * 1024;

export function encodeBlock({ kind, body, count, head, now, offsetMs }: NewBlock, node: string): Uint8Array {
  const packed = kind !== 'messages' && body.length >= PACKED_FROM;
  const facts: Header = { v: VERSION, kind, count, head, steadyAt: now - offsetMs, offsetMs, node };
  const header = Buffer.from(JSON.stringify(packed ? { ...facts, packed } : facts), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  return Buffer.concat([length, header, packed ? deflateRawSync(body) : body]);
}

/** Throws `too-new` where a newer Lamppost wrote it, `damaged` where it is none of ours. `seq` is for the errors. */
export function decodeBlock(message: Uint8Array, seq: number): WireBlock {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const { v, kind, packed, ...facts } = headerOf(bytes, seq);
  if (v > NEWEST_VERSION || !KINDS.includes(kind as BlockKind)) {
    const what = v > NEWEST_VERSION ? `version ${v}` : `kind "${kind}"`;
    const why = `record ${seq} of the log has ${what}, which a newer Lamppost wrote: update this node`;
    throw new LamppostError('too-new', why);
  }
  const body = bytes.subarray(4 + bytes.readUInt32LE(0));
  // A copy of its own: the message's buffer is shared with its neighbours.
  return { ...facts, kind: kind as BlockKind, body: packed ? inflateRawSync(body) : Buffer.from(body) };
}

/**
 * Whether a message of the stream is this block. Civil times may have been moved on the way into the file: kind, size
 * and steady time are compared, and of control records the content. `before`: the block before it; null: it is not here
 * any more.
 */
export function isSameBlock(
  here: Pick<WireBlock, 'kind' | 'body' | 'steadyAt'>,
  message: { readonly seq: number; readonly data: Uint8Array },
  before: Pick<WireBlock, 'steadyAt'> | null,
): boolean {
  const there = decodeBlock(message.data, message.seq);
  if (there.kind !== here.kind || there.body.length !== here.body.length) return false;
  // In the file no time is before that of the block before.
  if (there.steadyAt !== here.steadyAt) {
    if (there.steadyAt > here.steadyAt || (before !== null && before.steadyAt !== here.steadyAt)) return false;
  }
  return there.kind === 'messages' || Buffer.compare(there.body, here.body) === 0;
}

/** A block as the message that it was. */
export function messageOf(block: Block, node: string): { readonly seq: number; readonly data: Uint8Array } {
  const { seq, kind, body, count, receivedAt: now, steadyAt } = block;
  const fresh = { kind, body, count, head: headOf(block), now, offsetMs: now - steadyAt, id: null };
  return { seq, data: encodeBlock(fresh, node) };
}

/** The version that a control record of this kind brings into force. */
function headOf({ kind, body }: Block): string | null {
  if (kind !== 'city' && kind !== 'devices') return null;
  const { version } = JSON.parse(Buffer.from(body).toString('utf8')) as { version: string | number };
  return String(version);
}

function headerOf(bytes: Buffer, seq: number): Header {
  try {
    return JSON.parse(bytes.toString('utf8', 4, 4 + bytes.readUInt32LE(0))) as Header;
  } catch (cause) {
    throw new LamppostError('damaged', `record ${seq} of the stream is none of Lamppost's`, { cause });
  }
}
