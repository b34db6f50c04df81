import { FAULT_GROUP, LIMIT_GROUP, type Rule, type Subject } from '../domain/index.ts';
import type { Context } from '../ingest/index.ts';

/** Whom a group of a rule stands for, as it was at a block; a device that was revoked there as it was before. */
export function subjectOf(group: string, { forEach }: Pick<Rule, 'forEach'>, seq: number, context: Context): Subject {
  if (group === LIMIT_GROUP || group === FAULT_GROUP) return { kind: 'rule' };
  if (forEach === 'device') return { kind: 'device', device: deviceOf(group, seq, context) };
  const { name, districts } = context.cityAt(seq)!.city;
  if (forEach === 'city') return { kind: 'city', title: name };
  return { kind: 'district', id: group, title: districts.get(group)?.title ?? { en: group, zh: group } };
}

function deviceOf(id: string, seq: number, context: Context) {
  const upTo = context.line(id)!.versions.filter((version) => version.seq <= seq);
  return upTo.findLast((version) => version.known !== null)!.known!;
}
