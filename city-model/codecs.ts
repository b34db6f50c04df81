import { Script } from 'node:vm';
import { z } from 'zod';
import { type CityFile, type CityProblem, suggest } from '../domain/index.ts';
import type { Source } from './source.ts';

const FOLDER = 'codecs/';
const LONGEST = 256 * 1024;

/** Which codec decodes the frames of a device: by the beginning of its DevEUI; `*` is every other one. */
export const CodecsSchema = z
  .union([
    z.string().transform((name) => ({ '*': name })),
    z.record(
      z.string().regex(/^([0-9a-f]{1,16}|[0-9a-f]{0,15}\*)$/, 'a DevEUI in lower-case hex, or its beginning and *'),
      z.string(),
    ),
  ])
  .default({});

/** Returns the texts of the codecs by their names, `vendor-model.js`. */
export function codecsOf(files: readonly CityFile[]): ReadonlyMap<string, string> {
  const codecs = files.filter(({ path }) => path.startsWith(FOLDER) && path.endsWith('.js'));
  return new Map(codecs.map(({ path, text }) => [path.slice(FOLDER.length), text]));
}

/** Checks that codecs can be read as programs, which this does not run, and that those of the profiles are there. */
export function checkCodecs(
  profiles: Source,
  written: Readonly<Record<string, { readonly codec: Readonly<Record<string, string>> }>>,
  codecs: ReadonlyMap<string, string>,
  problems: CityProblem[],
): void {
  for (const [name, text] of codecs) {
    const fault = codecFault(name, text);
    if (fault !== null) problems.push(fault);
  }
  for (const [id, { codec }] of Object.entries(written)) {
    for (const name of Object.values(codec)) {
      if (codecs.has(name)) continue;
      const message = `there is no file ${FOLDER}${name}${suggest(name, codecs.keys())}`;
      problems.push(profiles.problem([id, 'codec'], message));
    }
  }
}

function codecFault(name: string, text: string): CityProblem | null {
  const at = (message: string, line = 1) => ({ file: FOLDER + name, line, column: 1, message });
  if (text.length > LONGEST) return at(`a codec has at most ${LONGEST} characters`);
  if (!/\bdecodeUplink\b/.test(text)) return at('the function decodeUplink({ bytes, fPort, recvTime }) is missing');
  try {
    new Script(text, { filename: name });
    return null;
  } catch (error) {
    const { message, stack = '' } = error as Error;
    return at(message, Number(/:(\d+)\n/.exec(stack)?.[1] ?? 1));
  }
}

/** Returns the codec of a device; null where the profile names none for it. The longest beginning counts. */
export function codecFor(codecs: Readonly<Record<string, string>>, device: string): string | null {
  const exact = Object.hasOwn(codecs, device) ? codecs[device]! : null;
  if (exact !== null) return exact;
  const matching = Object.keys(codecs).filter((one) => one.endsWith('*') && device.startsWith(one.slice(0, -1)));
  const longest = matching.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? null : codecs[longest]!;
}
