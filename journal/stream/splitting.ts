import { BatchWriter, createRoute, type Route, walkRecords } from '../records.ts';

/** A part of a body of messages. */
export interface MessagesPart {
  readonly body: Uint8Array;
  readonly count: number;
}

/**
 * Divides a body of messages into bodies of at most so many bytes each, in order; a message that is longer by itself
 * has one of its own. Throws a RangeError where the body is not in the record format.
 */
export function splitMessages(body: Uint8Array, most: number): MessagesPart[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const writer = new BatchWriter();
  const parts: MessagesPart[] = [];
  const take = () => {
    const { bytes: taken, length, count } = writer.take(null);
    parts.push({ body: new Uint8Array(taken, 0, length), count });
  };
  walkRecords<Route>(bytes, createRoute, (route, from, to, receivedAt) => {
    const needed = writer.length + RECORD_BYTES + route.definition.length + to - from;
    if (writer.count > 0 && needed > most) take();
    writer.add(route, bytes.subarray(from, to), receivedAt);
  });
  if (writer.count > 0) take();
  return parts;
}

/** Bytes of a record beside its route and its payload. */
const RECORD_BYTES = 16;
