import type { Calendar, KnownDevice, Rule } from '../../../../domain/index.ts';
import type { Op, Sample } from '../reference/journal.ts';
import { durationOf, momentOf } from './moments.ts';

/** A line of a timeline; `ops` are in order of time. */
export interface Line {
  readonly text: string;
  readonly ops: readonly { readonly atMs: number; readonly op: Op }[];
}

/** What lines can refer to. */
export interface Names {
  readonly rules: Readonly<Record<string, readonly Rule[]>>;
  readonly calendars: readonly Calendar[];
}

/** The lines of a text that are not empty, with single spaces. */
export const textsOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim().replace(/ +/g, ' '))
    .filter((line) => line !== '');

/** `d1 air-quality harbour road=ring`; the id of a device ends with its number. */
export function deviceOf(text: string): KnownDevice {
  const [id, profile, district, ...tags] = text.split(' ') as [string, string, string];
  const index = Number(/\d+$/.exec(id)?.[0]);
  const pairs = tags.map((tag) => (tag as string).split('=') as [string, string]);
  return { id, index, profile, district, ...(pairs.length > 0 && { tags: Object.fromEntries(pairs) }) };
}

/** One reading: `d1 pm25 80`, or `d1 pm25 80 of 09:00` with its own time; several values are used in turn. */
function sampleOf(text: string, atMs: number, turn: number): Sample {
  const [what, of] = text.trim().split(' of ') as [string, string | undefined];
  const [id, metric, ...values] = what.split(/\s+/) as [string, string, ...string[]];
  const value = Number(values[turn % values.length]);
  if (Number.isNaN(value)) throw new Error(`"${text}" is no reading`);
  return { id, metric, ts: of === undefined ? atMs : momentOf(of.trim()), value };
}

function opOf(words: string, atMs: number, turn: number, { rules, calendars }: Names): Op {
  const [verb, ...rest] = words.split(' ') as [string, ...string[]];
  if (verb === 'tick') return { kind: 'tick' };
  if (verb === 'register') return { kind: 'device', device: deviceOf(rest.join(' ')) };
  if (verb === 'revoke') return { kind: 'revoke', id: rest[0]! };
  if (verb === 'rules') return { kind: 'rules', rules: rules[rest[0]!]!, calendars };
  return { kind: 'readings', samples: words.split(',').map((one) => sampleOf(one, atMs, turn)) };
}

/**
 * Parses a line: `10:00 …` happens once, `10:00 .. 11:00 every 5m …` at both ends and in between. See `opOf` and
 * `sampleOf`.
 */
export function lineOf(text: string, names: Names): Line {
  const parts = /^(\S+)(?: \.\. (\S+) every (\S+))? (.+)$/.exec(text);
  if (parts === null) throw new Error(`"${text}" is no line of a timeline`);
  const [from, until, every, words] = parts.slice(1) as [string, string | undefined, string | undefined, string];
  const fromMs = momentOf(from);
  const everyMs = every === undefined ? 1 : durationOf(every);
  const times = until === undefined ? 1 : Math.floor((momentOf(until) - fromMs) / everyMs) + 1;
  const ops = Array.from({ length: times }, (_, turn) => {
    const atMs = fromMs + turn * everyMs;
    return { atMs, op: opOf(words, atMs, turn, names) };
  });
  return { text, ops };
}
