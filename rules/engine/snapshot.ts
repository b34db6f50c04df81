import { LamppostError, SEVERITIES } from '../../domain/index.ts';
import { Reader, Writer } from './bytes.ts';
import { type EngineTime, TRUE, type Verdict } from './clauses/index.ts';
import { type CompiledRule, RUN_GROUP, type RuleRun, type RuleSet, takes } from './compiled.ts';
import { type DevicePlan, instanceOf } from './groups.ts';
import type { Episode, Instance, Member, Phase } from './instance.ts';
import type { StateRow } from './types.ts';

/**
 * Version of the encoding. A state that is read back continues exactly where it was written. How windows are cut into
 * slices and what clauses store are part of the format: a change there needs a new number.
 */
const FORMAT = 2;
const PHASES: readonly Phase[] = ['inactive', 'pending', 'firing'];
const [HELD, SILENT, SILENCE_HANDLED, CARRIED, SPOKEN] = [1, 2, 4, 8, 16];

const writer = new Writer();

/** A row of a rule's group; a null state deletes it. */
export function rowOf({ rule: { id, version } }: CompiledRule, group: string, state: Uint8Array | null): StateRow {
  return { rule: id, version, group, state };
}

/** Appends the states that changed to `rows`, and marks them as written. */
export function appendDirty(rows: StateRow[], instances: readonly Instance[], rules: RuleSet, time: EngineTime): void {
  for (const instance of instances) {
    instance.dirty = false;
    if (!instance.gone) rows.push(rowOf(instance.rule, instance.group, encodeInstance(instance)));
  }
  for (const rule of rules.byId.values()) {
    if (!rule.run.dirty) continue;
    rule.run.dirty = false;
    rows.push(rowOf(rule, RUN_GROUP, encodeRun(rule.run)));
  }
  rows.push({ rule: '', version: '', group: '', state: encodeClock(time) });
}

/**
 * Restores the state of a row; false where the rule, its version or the device is gone. Throws `disk` on bytes it
 * cannot read.
 */
export function restoreRow(
  { rule: id, version, group, state }: StateRow,
  rules: RuleSet,
  plans: ReadonlyMap<string, DevicePlan>,
  k: number,
): boolean {
  const rule = rules.byId.get(id);
  if (state === null || rule === undefined || rule.rule.version !== version) return false;
  if (group === RUN_GROUP) {
    decodeRun(rule, state);
    return true;
  }
  const instance = rule.grouped ? rule.run.groups.get(group) : ownInstance(rule, plans.get(group), k);
  if (instance === undefined) return false;
  decodeInstance(instance, state, (device) => instance.members?.get(plans.get(device)?.device.index ?? -1));
  if (instance.episode?.held) rule.run.held.add(instance);
  if (instance.phase === 'firing') rule.run.firing++;
  return true;
}

function ownInstance(rule: CompiledRule, plan: DevicePlan | undefined, k: number): Instance | undefined {
  return plan === undefined || !takes(rule.rule, plan.device) ? undefined : instanceOf(plan, rule, k);
}

function encodeInstance(instance: Instance): Uint8Array {
  writer.reset();
  writer.u8(FORMAT);
  writer.u8(PHASES.indexOf(instance.phase));
  const { episode } = instance;
  writer.u8(
    (episode?.held ? HELD : 0) |
      (instance.silent ? SILENT : 0) |
      (instance.silenceHandled ? SILENCE_HANDLED : 0) |
      (instance.carried ? CARRIED : 0) |
      (instance.spoken ? SPOKEN : 0),
  );
  writer.f64(instance.readK);
  if (episode !== null) {
    writer.u8(SEVERITIES.indexOf(episode.severity));
    for (const time of [episode.sinceMs, episode.sinceK, episode.endK]) writer.f64(time);
  }
  writer.u8(instance.firedK?.length ?? 0);
  for (const time of instance.firedK ?? []) writer.f64(time);
  writeMember(instance);
  // In order of their numbers: a restored group has its members in another order, and the same bytes.
  const members = [...(instance.members?.values() ?? [])].sort((a, b) => a.device!.index - b.device!.index);
  writer.u32(members.length);
  for (const member of members) {
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

/** Reads a state into a new instance of the same rule version. */
function decodeInstance(
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
  instance.silenceHandled = (flags & SILENCE_HANDLED) !== 0;
  instance.carried = (flags & CARRIED) !== 0;
  instance.spoken = (flags & SPOKEN) !== 0;
  instance.readK = reader.f64();
  instance.episode = phase === 'inactive' ? null : readEpisode(reader, (flags & HELD) !== 0);
  const fired = Array.from({ length: reader.u8() }, () => reader.f64());
  if (instance.firedK !== null) instance.firedK = fired;
  readMember(reader, instance);
  instance.matching = 0;
  for (let members = reader.u32(); members > 0; members--) {
    const id = reader.text();
    const member = memberOf(id);
    if (member === undefined) throw bad(`device ${id} is not in the group`);
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

/** Null where there is nothing to store. */
function encodeRun({ limitedMs, fault }: RuleRun): Uint8Array | null {
  if (limitedMs === null && fault === null) return null;
  writer.reset();
  writer.u8(FORMAT);
  writer.f64(limitedMs ?? Number.NaN);
  writer.f64(fault?.atMs ?? Number.NaN);
  writer.text(fault?.detail ?? '');
  return writer.bytes();
}

function decodeRun({ run }: CompiledRule, bytes: Uint8Array): void {
  const reader = new Reader(bytes);
  reader.u8();
  const limitedMs = reader.f64();
  const atMs = reader.f64();
  const detail = reader.text();
  run.limitedMs = Number.isNaN(limitedMs) ? null : limitedMs;
  run.fault = Number.isNaN(atMs) ? null : { atMs, detail };
}

function encodeClock({ k, offset, civil }: EngineTime): Uint8Array {
  writer.reset();
  writer.u8(FORMAT);
  for (const ms of [k, offset, civil]) writer.f64(ms);
  return writer.bytes();
}

/** Reads the state of the row of rule `''`. */
export function decodeClock(bytes: Uint8Array): { k: number; offset: number; civil: number } {
  const reader = new Reader(bytes);
  reader.u8();
  const [k, offset] = [reader.f64(), reader.f64()];
  // An older Lamppost knew of no steps.
  return { k, offset, civil: reader.done() ? 0 : reader.f64() };
}
