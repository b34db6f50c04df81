import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { MOST_PHOTO_BYTES } from '../../citizens/index.ts';
import type { City } from '../../domain/index.ts';
import { type CommonQuery, type Fault, jurisdictionFault, Refused, shown } from './protocol.ts';
import type { Visit } from './visit.ts';

/** The largest form without its photo, bytes. */
const MOST_TEXT = 256 * 1024;
const MOST_FIELDS = 100;
const MOST_PHOTOS = 5;
/** All photos of a form, bytes: two of the largest, or five as a telephone makes them. */
const MOST_PHOTOS_BYTES = 2 * MOST_PHOTO_BYTES;
/** The largest body: the photos, the fields, and what is between the parts. */
const MOST_BODY = MOST_PHOTOS_BYTES + 2 * MOST_TEXT;
/** Packets of 550 bytes would still be fewer. */
const MOST_PIECES = 20_000;

/** Limits of a multipart form, sizes in bytes. */
export const FORM_LIMITS = {
  fields: MOST_FIELDS,
  fieldSize: 16 * 1024,
  fieldNameSize: 200,
  files: MOST_PHOTOS + 1,
  parts: MOST_FIELDS + MOST_PHOTOS + 1,
  fileSize: MOST_PHOTO_BYTES,
} as const;

/** The contents of a form without its empty fields. */
export interface Form {
  /** By name; of several values the last. */
  readonly fields: ReadonlyMap<string, string>;
  /** All values of `media_url`. */
  readonly mediaUrls: readonly string[];
  /** `attribute[CODE]` and `attribute[CODE][]`, by code. */
  readonly attributes: ReadonlyMap<string, readonly string[]>;
  /** The files as they were sent. */
  readonly files: readonly Buffer[];
}

const wrong = (description: string) => new Refused([{ code: 400, description } satisfies Fault]);

/**
 * Reads a form: `application/x-www-form-urlencoded`, or `multipart/form-data` with a photo. The sender is identified as
 * soon as the form says who it is; of an unknown one nothing is decoded. Throws `Refused`, also where it is for another
 * jurisdiction.
 */
export async function readForm(
  request: FastifyRequest<{ Querystring: z.output<typeof CommonQuery> }>,
  reply: FastifyReply,
  visit: Visit,
  city: City,
): Promise<Form> {
  const form = await readBody(request, reply, visit);
  const given = form.fields.get('jurisdiction_id') ?? request.query.jurisdiction_id;
  const elsewhere = jurisdictionFault(given, city);
  if (elsewhere !== null) throw new Refused([elsewhere]);
  return form;
}

async function readBody(request: FastifyRequest, reply: FastifyReply, visit: Visit): Promise<Form> {
  try {
    if (Number(request.headers['content-length'] ?? 0) > MOST_BODY) {
      reply.header('connection', 'close');
      throw wrong(`the form has more than ${MOST_BODY} bytes; media: photos of at most 5 MB, together 10 MB`);
    }
    const form = request.isMultipart() ? await readParts(request, visit) : await readFields(request, visit);
    visit.identify(form.fields.get('api_key'));
    return form;
  } catch (error) {
    drain(request);
    // Errors of the parser itself have no status; what it refuses has one.
    if (error instanceof Refused || (error as FastifyError).statusCode !== undefined) throw error;
    throw wrong(`the form is broken or ended early: ${(error as Error).message}`);
  }
}

/** Lets the rest of a body go by: the client can then read its response. The edge bounds how much goes by. */
function drain({ raw }: FastifyRequest): void {
  raw.unpipe();
  raw.resume();
}

/** Counts the bytes of a body, and the pieces that they arrive in: a piece costs as much as some hundred bytes. */
class Arrival {
  #bytes = 0;
  #pieces = 0;

  /** Throws `Refused` where the body is larger than any form, or comes in pieces that no client makes. */
  take({ length }: Buffer): void {
    this.#bytes += length;
    this.#pieces++;
    if (this.#bytes > MOST_BODY)
      throw wrong(`the form has more than ${MOST_BODY} bytes; media: photos of at most 5 MB, together 10 MB`);
    if (this.#pieces > MOST_PIECES) throw wrong(`the form comes in more than ${MOST_PIECES} pieces; send larger ones`);
  }
}

/** Bytes one after another in memory of their own, which can move to a thread. It is never more than twice as large. */
class Gathered {
  #memory: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(1_024);
  #length = 0;

  add(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * needed, MOST_PHOTO_BYTES)));
      this.#memory.copy(larger, 0, 0, this.#length);
      this.#memory = larger;
    }
    chunk.copy(this.#memory, this.#length);
    this.#length = needed;
  }

  bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }
}

async function readFields({ raw }: FastifyRequest, visit: Visit): Promise<Form> {
  const arrival = new Arrival();
  const gathered = new Gathered();
  for await (const chunk of raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    arrival.take(chunk);
    visit.hold(chunk.length);
    gathered.add(chunk);
    if (gathered.bytes().length > MOST_TEXT) throw wrong(`a form without a photo has at most ${MOST_TEXT} bytes`);
  }
  const text = gathered.bytes().toString();
  if (text.split('&', MOST_FIELDS + 1).length > MOST_FIELDS) throw wrong(`a form has at most ${MOST_FIELDS} fields`);
  return formOf([...new URLSearchParams(text)], []);
}

/** Parts are taken as they arrive. A body without an end is cut where it is larger than any form. */
async function readParts(request: FastifyRequest, visit: Visit): Promise<Form> {
  const { promise: tooMuch, reject } = Promise.withResolvers<never>();
  tooMuch.catch(() => {});
  const arrival = new Arrival();
  request.raw.on('data', (chunk: Buffer) => {
    try {
      arrival.take(chunk);
    } catch (error) {
      reject(error);
    }
  });
  const read = takeParts(request, visit);
  read.catch(() => {});
  return await Promise.race([read, tooMuch]);
}

async function takeParts(request: FastifyRequest, visit: Visit): Promise<Form> {
  const entries: [string, string][] = [];
  const files: Buffer[] = [];
  let text = 0;
  for await (const part of request.parts()) {
    if (part.type === 'file') {
      const found = await fileOf(part.file, { visit, before: files });
      if (found !== null) files.push(found);
      continue;
    }
    const value = String(part.value);
    text += part.fieldname.length + value.length;
    if (part.valueTruncated) throw wrong(`${shown(part.fieldname)}: at most ${FORM_LIMITS.fieldSize} bytes`);
    if (text > MOST_TEXT) throw wrong(`the fields of a form have at most ${MOST_TEXT} characters`);
    visit.hold(part.fieldname.length + value.length);
    if (part.fieldname === 'api_key' && value.trim() !== '') visit.identify(value.trim());
    entries.push([part.fieldname, value]);
  }
  return formOf(entries, files);
}

/** Browsers send an empty file where none was chosen; it counts as none. */
async function fileOf(
  stream: AsyncIterable<Buffer>,
  { visit, before }: { readonly visit: Visit; readonly before: readonly Buffer[] },
): Promise<Buffer | null> {
  const gathered = new Gathered();
  for await (const chunk of stream) {
    if (before.length === MOST_PHOTOS) throw wrong(`${MOST_PHOTOS} photos, not ${MOST_PHOTOS + 1}`);
    visit.hold(chunk.length);
    gathered.add(chunk);
  }
  return gathered.bytes().length === 0 ? null : gathered.bytes();
}

/** Characters that XML and people's screens do not have: controls but tabs and line breaks, and halves of others. */
const INVISIBLE = /[\ufffe\uffff]|[^\P{Cc}\t\n\r]/gu;

function formOf(entries: readonly (readonly [string, string])[], files: readonly Buffer[]): Form {
  const fields = new Map<string, string>();
  const attributes = new Map<string, string[]>();
  const mediaUrls: string[] = [];
  for (const [name, text] of entries) {
    const value = text.toWellFormed().replace(INVISIBLE, '').trim();
    if (value === '') continue;
    const code = /^attribute\[([^\]]+)\](?:\[\d*\])?$/.exec(name)?.[1];
    if (/^media_url(\[\d*\])?$/.test(name)) mediaUrls.push(value);
    else if (code === undefined) fields.set(name, value);
    else attributes.set(code, [...(attributes.get(code) ?? []), value]);
  }
  return { fields, attributes, mediaUrls, files };
}
