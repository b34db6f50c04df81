import { checkSize, need, type Parts, piece, RefusedPicture } from './picture.ts';

/** A component of a frame: its sampling, and the destination of its table of quantization. */
interface Component {
  readonly id: number;
  readonly horizontal: number;
  readonly vertical: number;
  readonly quantization: string;
}

/** The header of a frame (T.81 §B.2.2), checked. */
export interface Frame {
  readonly code: number;
  readonly header: Buffer;
  readonly width: number;
  readonly height: number;
  readonly components: readonly Component[];
}

const PROGRESSIVE = 0xc2;

/** Returns a frame. Throws where browsers do not draw it, or where its picture is too large. */
export function frameOf(code: number, body: Buffer): Frame {
  const [precision, count] = [piece(body, 0, 6)[0]!, body[5]!];
  const [height, width] = [body.readUInt16BE(1), body.readUInt16BE(3)];
  need(body.length === 6 + 3 * count && count > 0);
  if (precision !== 8 || count > 4 || height === 0) throw new RefusedPicture('unusual-image');
  checkSize(width, height);
  const components = Array.from({ length: count }, (_, i) => componentOf(body.subarray(6 + 3 * i)));
  need(new Set(components.map(({ id }) => id)).size === count);
  return { code, header: body, width, height, components };
}

function componentOf([id, sampling, table]: Buffer): Component {
  const [horizontal, vertical] = [sampling! >> 4, sampling! & 15];
  need([horizontal, vertical].every((factor) => factor >= 1 && factor <= 4) && table! <= 3);
  return { id: id!, horizontal, vertical, quantization: `q${table}` };
}

/** The header of a scan (T.81 §B.2.3), checked and written anew. */
export interface Scan {
  readonly header: Buffer;
  readonly components: readonly Component[];
  /** Destinations of the Huffman tables that it uses, in the order in which programs write them. */
  readonly huffman: readonly string[];
}

/** Returns a scan of a frame. Throws `broken-image`. */
export function scanOf(body: Buffer, { code, components: known }: Frame): Scan {
  const count = piece(body, 0, 1)[0]!;
  need(count >= 1 && count <= known.length && body.length === 4 + 2 * count);
  const range = code === PROGRESSIVE ? progressiveRange(body.subarray(-3), count) : SEQUENTIAL;
  const components: Component[] = [];
  const header = [count];
  const huffman: string[] = [];
  for (let i = 0; i < count; i++) {
    const [id, tables] = body.subarray(1 + 2 * i) as Buffer & [number, number];
    const component = known.find((one) => one.id === id);
    need(component !== undefined && !components.includes(component));
    components.push(component!);
    const [dc, ac] = [range.usesDc ? tables >> 4 : 0, range.usesAc ? tables & 15 : 0];
    need(dc <= 3 && ac <= 3);
    header.push(id, (dc << 4) | ac);
    huffman.push(...(range.usesDc ? [`h0${dc}`] : []), ...(range.usesAc ? [`h1${ac}`] : []));
  }
  return { header: Buffer.from([...header, ...range.bytes]), components, huffman: [...new Set(huffman)] };
}

interface Range {
  readonly bytes: readonly number[];
  readonly usesDc: boolean;
  readonly usesAc: boolean;
}

/** Decoders ignore the range of a sequential scan. */
const SEQUENTIAL: Range = { bytes: [0, 63, 0], usesDc: true, usesAc: true };

/** The first coefficients of all components, or others of one (T.81 §G.1.1.1); a refined DC scan has plain bits. */
function progressiveRange([first, last, approximation]: Buffer, components: number): Range {
  const [high, low] = [approximation! >> 4, approximation! & 15];
  need(high <= 13 && low <= 13);
  const isDc = first === 0;
  need(isDc ? last === 0 : first! <= last! && last! <= 63 && components === 1);
  return { bytes: [first!, last!, approximation!], usesDc: isDc && high === 0, usesAc: !isDc };
}

/** Returns how many restarts a scan has at most, by the interval between them in units of its data (T.81 §A.2). */
export function restartsOf({ components }: Scan, frame: Frame, interval: number): number {
  if (interval === 0) return 0;
  const most = (of: (one: Component) => number) => Math.max(...frame.components.map(of));
  const [horizontal, vertical] = [most((one) => one.horizontal), most((one) => one.vertical)];
  const [only] = components;
  const units =
    components.length === 1
      ? blocks(frame.width, only!.horizontal, horizontal) * blocks(frame.height, only!.vertical, vertical)
      : Math.ceil(frame.width / (8 * horizontal)) * Math.ceil(frame.height / (8 * vertical));
  return Math.ceil(units / interval) - 1;
}

function blocks(pixels: number, factor: number, most: number): number {
  return Math.ceil(Math.ceil((pixels * factor) / most) / 8);
}

/** A table of quantization (`q0`–`q3`) or of Huffman codes (`h00`–`h13`: class, number), as the body of a segment. */
export interface Table {
  readonly destination: string;
  readonly bytes: Buffer;
}

/** Returns the tables of one segment (T.81 §B.2.4.1, §B.2.4.2). Throws where one is cut off or has no such place. */
export function tablesIn(areQuantization: boolean, body: Buffer, parts: Parts): Table[] {
  const tables: Table[] = [];
  for (let at = 0; at < body.length; ) {
    parts.next();
    const [kind, number] = [body[at]! >> 4, body[at]! & 15];
    need(kind <= 1 && number <= 3);
    const length = areQuantization ? 1 + 64 * (1 + kind) : huffmanLength(body, at);
    tables.push({
      destination: areQuantization ? `q${number}` : `h${kind}${number}`,
      bytes: piece(body, at, length),
    });
    at += length;
  }
  return tables;
}

/** The number of codes of each length from 1 to 16 bits, then a byte for each code. */
function huffmanLength(body: Buffer, at: number): number {
  const codes = piece(body, at + 1, 16).reduce((sum, count) => sum + count, 0);
  need(codes <= 256);
  return 17 + codes;
}
