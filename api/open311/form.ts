import type { FastifyError, FastifyRequest } from 'fastify';
import { MOST_PHOTO_BYTES, PHOTO_FAULTS, type Photo, photoOf } from '../../citizens/index.ts';
import { LamppostError } from '../../domain/index.ts';
import type { Fault } from './answer.ts';

/** Of a form with a photo: what its parts may be, bytes. */
export const FORM_LIMITS = {
  fields: 100,
  fieldSize: 16 * 1024,
  fieldNameSize: 200,
  files: 2,
  parts: 102,
  fileSize: MOST_PHOTO_BYTES,
} as const;

/** What a form says, without what it leaves empty. */
export interface Form {
  /** By name; of several the last. */
  readonly fields: ReadonlyMap<string, string>;
  /** `attribute[CODE]` and `attribute[CODE][]`, by code. */
  readonly attributes: ReadonlyMap<string, readonly string[]>;
  readonly photo: Photo | null;
  readonly faults: readonly Fault[];
}

/** Reads a form of either kind: `application/x-www-form-urlencoded`, parsed before, or `multipart/form-data` with a photo. Throws `invalid`. */
export async function readForm(request: FastifyRequest): Promise<Form> {
  if (!request.isMultipart()) return formOf([...((request.body as URLSearchParams | undefined) ?? [])], []);
  try {
    return await readParts(request);
  } catch (error) {
    // The parser's own words for what it cannot read have no status.
    if (error instanceof LamppostError || (error as FastifyError).statusCode !== undefined) throw error;
    throw new LamppostError('invalid', `the multipart form is broken: ${(error as Error).message}`, { cause: error });
  }
}

async function readParts(request: FastifyRequest): Promise<Form> {
  const entries: [string, string][] = [];
  const files: Buffer[] = [];
  for await (const part of request.parts()) {
    if (part.type === 'file') files.push(await part.toBuffer());
    else if (part.valueTruncated)
      throw new LamppostError('invalid', `${part.fieldname}: at most ${FORM_LIMITS.fieldSize} bytes`);
    else entries.push([part.fieldname, String(part.value)]);
  }
  return formOf(entries, files);
}

/** A page's form sends a file of no bytes where none was chosen. */
function formOf(entries: readonly (readonly [string, string])[], files: readonly Buffer[]): Form {
  const fields = new Map<string, string>();
  const attributes = new Map<string, string[]>();
  for (const [name, text] of entries) {
    const value = text.trim();
    if (value === '') continue;
    const code = /^attribute\[([^\]]+)\](?:\[\d*\])?$/.exec(name)?.[1];
    if (code === undefined) fields.set(name, value);
    else attributes.set(code, [...(attributes.get(code) ?? []), value]);
  }
  return { fields, attributes, ...photoIn(files.filter(({ length }) => length > 0)) };
}

function photoIn(files: readonly Buffer[]): Pick<Form, 'photo' | 'faults'> {
  const [first, ...others] = files;
  if (first === undefined) return { photo: null, faults: [] };
  const photo = others.length === 0 ? photoOf(first) : null;
  if (photo === null) return { photo, faults: [{ code: 400, description: `one photo, not ${files.length}` }] };
  if (typeof photo !== 'string') return { photo, faults: [] };
  return { photo: null, faults: [{ code: 400, description: `media: ${PHOTO_FAULTS[photo]}` }] };
}
