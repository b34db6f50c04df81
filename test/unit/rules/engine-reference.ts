import type { KnownDevice, Rule, Transition } from '../../../domain/index.ts';
import type { Entry, Sample } from './engine-journal.ts';

/** What the reference knows of one rule on one device: every reading that counted, in order of arrival. */
interface Course {
  readonly rule: Rule;
  readonly group: string;
  readonly readings: Sample[];
  state: 'inactive' | 'pending' | 'firing';
  matching: boolean;
  sinceMs: number;
  missedMs: number | null;
}

/**
 * The rules engine as one would write it without a thought for speed: keeps every reading, cuts the window out of all
 * of them each time. Windows are cut as the engine promises: the slices (a 60th of the window, rounded up to whole
 * ms, aligned to the epoch) that end with the newest reading's and together are no longer than the window.
 */
export class Reference {
  #rules: readonly Rule[] = [];
  readonly #devices = new Map<string, KnownDevice>();
  #courses: Course[] = [];
  #out: Transition[] = [];
  #entry!: Entry;

  play(entry: Entry): Transition[] {
    this.#entry = entry;
    this.#out = [];
    const { op } = entry;
    if (op.kind === 'rules') this.#rules = op.rules;
    if (op.kind === 'device') this.#devices.set(op.device.id, op.device);
    if (op.kind === 'revoke') this.#devices.delete(op.id);
    if (op.kind === 'readings') for (const sample of op.samples) this.#read(sample);
    else if (op.kind === 'tick') for (const course of this.#sorted()) this.#timePassed(course);
    else this.#endOthers();
    return this.#out;
  }

  #sorted(): Course[] {
    const key = ({ rule, group }: Course) => `${rule.id} ${group}`;
    return this.#courses.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  #endOthers(): void {
    const applies = ({ rule, group }: Course) =>
      this.#rules.some(({ id, version }) => id === rule.id && version === rule.version) && this.#takes(rule, group);
    for (const course of this.#sorted()) if (!applies(course)) this.#stop(course);
    this.#courses = this.#courses.filter(applies);
  }

  #takes({ where }: Rule, id: string): boolean {
    const device = this.#devices.get(id);
    return device !== undefined && (where.district === undefined || where.district.includes(device.district));
  }

  #read(sample: Sample): void {
    for (const rule of this.#rules) {
      if (rule.when.metric !== sample.metric || !this.#takes(rule, sample.id)) continue;
      let course = this.#courses.find((known) => known.rule.id === rule.id && known.group === sample.id);
      if (course === undefined) {
        course = {
          rule,
          group: sample.id,
          readings: [],
          state: 'inactive',
          matching: false,
          sinceMs: 0,
          missedMs: null,
        };
        this.#courses.push(course);
      }
      const newest = Math.max(...course.readings.map(({ ts }) => ts), sample.ts);
      if (sample.ts < fromMs(rule, newest)) continue;
      course.readings.push(sample);
      this.#judge(course);
    }
  }

  #judge(course: Course): void {
    const { rule, matching } = course;
    const { op, threshold, clear } = rule.when;
    const value = figure(course).value;
    const limit = matching ? clear : threshold;
    course.matching = op === 'above' ? value > limit : value < limit;
    if (course.matching) course.missedMs = null;
    else if (course.state === 'pending') this.#stop(course);
    else if (course.state === 'firing') course.missedMs ??= this.#entry.atMs;
    if (course.matching && course.state === 'inactive') {
      course.sinceMs = this.#entry.atMs;
      if (rule.forMs > 0) this.#move(course, 'pending', 'pending');
      else this.#move(course, 'firing', 'firing');
    }
    this.#timePassed(course);
  }

  #timePassed(course: Course): void {
    const { state, rule, sinceMs, missedMs } = course;
    const now = this.#entry.atMs;
    if (state === 'pending' && now >= sinceMs + rule.forMs) this.#move(course, 'firing', 'firing');
    if (state === 'firing' && missedMs !== null && now >= missedMs + rule.keepFiringForMs) this.#stop(course);
  }

  #stop(course: Course): void {
    course.matching = false;
    course.missedMs = null;
    if (course.state === 'pending') this.#move(course, 'inactive', 'cancelled');
    if (course.state === 'firing') this.#move(course, 'inactive', 'resolved');
  }

  #move(course: Course, state: Course['state'], to: Transition['to']): void {
    const { rule, group, state: from, sinceMs } = course;
    const { metric, fn, op, threshold } = rule.when;
    const { value, count, start, newest } = figure(course);
    // The ten are the newest by time; of equals the later to arrive is the newer, which a stable sort keeps.
    const shown = course.readings.filter(({ ts }) => fn === 'last' || ts >= start).sort((a, b) => a.ts - b.ts);
    course.state = state;
    this.#out.push({
      id: `${this.#entry.seq}.${this.#out.length}`,
      rule: rule.id,
      group,
      from,
      to,
      atMs: this.#entry.atMs,
      sinceMs,
      value,
      severity: rule.severity,
      evidence: {
        ruleVersion: rule.version,
        window: { metric, fn, fromMs: start, toMs: newest, count, value, op, threshold },
        readings: shown.slice(-10).map(({ ts, value: read }) => [ts, read]),
      },
    });
  }
}

function fromMs({ when: { fn, windowMs } }: Rule, newest: number): number {
  if (fn === 'last') return newest;
  const sliceMs = Math.ceil(windowMs / 60);
  const slices = Math.floor(windowMs / sliceMs);
  return (Math.floor(newest / sliceMs) - slices + 1) * sliceMs;
}

function figure({ rule, readings }: Course) {
  const newest = Math.max(...readings.map(({ ts }) => ts));
  const start = fromMs(rule, newest);
  const values = readings.filter(({ ts }) => ts >= start).map(({ value }) => value);
  const { fn } = rule.when;
  if (fn === 'last') return { value: values.at(-1)!, count: 1, start, newest };
  const value =
    fn === 'min'
      ? Math.min(...values)
      : fn === 'max'
        ? Math.max(...values)
        : values.reduce((a, b) => a + b) / values.length;
  return { value, count: values.length, start, newest };
}
