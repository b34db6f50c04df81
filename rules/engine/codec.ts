import { LamppostError, SEVERITIES } from '../../domain/index.ts';
import { Reader, Writer } from './bytes.ts';
import { TRUE, type Verdict } from './clauses/index.ts';
import type { CompiledRule, RuleRun } from './compiled.ts';
import type { Episode, Instance, Member, Phase } from './instance.ts';

/**
 * States as bytes, exact: what is read back goes on as if it had never been away. How windows are cut and what clauses
 * remember belongs to the format: whoever changes it raises the number.
 */
const FORMAT = 2;
const PHASES: readonly Phase[] = ['inactive', 'pending', 'firing'];
const [HELD, SILENT, SILENCE_OVER] = [1, 2, 4];

const writer = new Writer();

/** Writes the state of an instance and of its members. */
export function encodeInstance(instance: Instance): Uint8Array {
  writer.reset();
  writer.u8(FORMAT);
  writer.u8(PHASES.indexOf(instance.phase));
  const { episode } = instance;
  writer.u8((episode?.held ? HELD : 0) | (instance.silent ? SILENT : 0) | (instance.silenceOver ? SILENCE_OVER : 0));
  writer.f64(instance.heardK);
  if (episode !== null) {
    writer.u8(SEVERITIES.indexOf(episode.severity));
    for (const time of [episode.sinceMs, episode.sinceK, episode.endK]) writer.f64(time);
  }
  writer.u8(instance.firedK?.length ?? 0);
  for (const time of instance.firedK ?? []) writer.f64(time);
  writeMember(instance);
  writer.u32(instance.members?.size ?? 0);
  for (const member of instance.members?.values() ?? []) {
    writer.text(member.device!.id);
    writeMember(member);
  }
  return writer.bytes();
}

function writeMember({ whole, clauses }: Member): void {
  writer.u8(whole);
  for (const clause of clauses) {
    writer.u8(clause.verdict);
    clause.write(writer);
  }
}

/** Reads back into a fresh instance of the same rule version; throws `disk` when the bytes are not that. */
export function decodeInstance(
  instance: Instance,
  bytes: Uint8Array,
  memberOf: (deviceId: string) => Member | undefined,
): void {
  const reader = new Reader(bytes);
  const { rule, group } = instance;
  const bad = (why: string) =>
    new LamppostError('disk', `the stored state of rule ${rule.rule.id} for ${group} cannot be read: ${why}`);
  const format = reader.u8();
  if (format !== FORMAT) throw bad(`format ${format}, not ${FORMAT}`);
  const phase = PHASES[reader.u8()];
  const flags = reader.u8();
  if (phase === undefined) throw bad('unknown phase');
  instance.phase = phase;
  instance.silent = (flags & SILENT) !== 0;
  instance.silenceOver = (flags & SILENCE_OVER) !== 0;
  instance.heardK = reader.f64();
  instance.episode = phase === 'inactive' ? null : readEpisode(reader, (flags & HELD) !== 0);
  const fired = Array.from({ length: reader.u8() }, () => reader.f64());
  if (instance.firedK !== null) instance.firedK = fired;
  readMember(reader, instance);
  instance.matching = 0;
  for (let members = reader.u32(); members > 0; members--) {
    const id = reader.text();
    const member = memberOf(id);
    if (member === undefined) throw bad(`device ${id} is not of the group`);
    readMember(reader, member);
    if (member.whole === TRUE) instance.matching++;
  }
  if (!reader.done()) throw bad('more bytes than expected');
}

function readEpisode(reader: Reader, held: boolean): Episode {
  const severity = SEVERITIES[reader.u8()]!;
  const [sinceMs, sinceK, endK] = [reader.f64(), reader.f64(), reader.f64()];
  return { sinceMs, sinceK, severity, held, endK };
}

function readMember(reader: Reader, member: Member): void {
  member.whole = reader.u8() as Verdict;
  for (const clause of member.clauses) {
    clause.verdict = reader.u8() as Verdict;
    clause.read(reader);
  }
}

/** What a rule remembers as a whole; null where that is nothing. */
export function encodeRun({ limitedMs, fault }: RuleRun): Uint8Array | null {
  if (limitedMs === null && fault === null) return null;
  writer.reset();
  writer.u8(FORMAT);
  writer.f64(limitedMs ?? Number.NaN);
  writer.f64(fault?.atMs ?? Number.NaN);
  writer.text(fault?.detail ?? '');
  return writer.bytes();
}

export function decodeRun({ run }: CompiledRule, bytes: Uint8Array): void {
  const reader = new Reader(bytes);
  reader.u8();
  const limitedMs = reader.f64();
  const atMs = reader.f64();
  const detail = reader.text();
  run.limitedMs = Number.isNaN(limitedMs) ? null : limitedMs;
  run.fault = Number.isNaN(atMs) ? null : { atMs, detail };
}

/** The engine's clock: its time without gaps, and what they took. */
export function encodeClock(k: number, offset: number): Uint8Array {
  writer.reset();
  writer.u8(FORMAT);
  writer.f64(k);
  writer.f64(offset);
  return writer.bytes();
}

export function decodeClock(bytes: Uint8Array): { k: number; offset: number } {
  const reader = new Reader(bytes);
  reader.u8();
  return { k: reader.f64(), offset: reader.f64() };
}
