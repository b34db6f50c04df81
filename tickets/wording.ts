import {
  type AlertLabels,
  type City,
  type Evidence,
  FAULT_GROUP,
  type LocalText,
  type Rule,
  type Service,
  type Subject,
  type Transition,
} from '../domain/index.ts';

/** The facts that a title can name, in the language of the template. */
export interface TitleFacts {
  /** Where the group is not a device: the group. */
  readonly device: { readonly id: string; readonly name?: string };
  readonly district: string;
  readonly value: number | null;
  /** The name of the value, where it is that of a state. */
  readonly state?: string | undefined;
}

/** An alert's title in both languages. */
export interface Titles {
  readonly title: string;
  readonly titleZh: string;
}

/** The alert that titles are made for. */
export interface TitleContext {
  readonly transition: Pick<Transition, 'group' | 'value' | 'evidence'>;
  readonly rule: Pick<Rule, 'id' | 'title' | 'titleZh' | 'limit'>;
  readonly subject: Subject;
  readonly city: Pick<City, 'districts'>;
}

/** Returns the titles of an alert: those of its rule with the facts filled in, or those of an alarm about the rule. */
export function titlesOf(context: TitleContext): Titles {
  if (context.subject.kind === 'rule') return alarmOf(context);
  const { rule, transition, subject, city } = context;
  const factsIn = (language: keyof LocalText): TitleFacts => ({
    ...placeOf(subject, transition.group, city, language),
    value: transition.value,
    state: transition.evidence.window.state,
  });
  return { title: renderTitle(rule.title, factsIn('en')), titleZh: renderTitle(rule.titleZh, factsIn('zh')) };
}

function alarmOf({ transition: { group, evidence }, rule: { id, limit } }: TitleContext): Titles {
  if (group === FAULT_GROUP) {
    const detail = evidence.detail ?? '–';
    return {
      title: `Rule ${id} met an error and is disabled: ${detail}`,
      titleZh: `规则 ${id} 出错，已停用：${detail}`,
    };
  }
  return {
    title: `Rule ${id}: more than ${limit} groups would fire`,
    titleZh: `规则 ${id}：超过 ${limit} 个对象将同时报警`,
  };
}

function placeOf(
  subject: Exclude<Subject, { kind: 'rule' }>,
  group: string,
  { districts }: Pick<City, 'districts'>,
  language: keyof LocalText,
): Pick<TitleFacts, 'device' | 'district'> {
  if (subject.kind !== 'device') {
    const name = subject.title[language];
    return { device: { id: group, name }, district: name };
  }
  const { device } = subject;
  return { device, district: districts.get(device.district)?.title[language] ?? device.district };
}

/**
 * Fills in `{{device.name}}` (else its id), `{{device.id}}`, `{{district}}` and `{{value}}`; all else stays as it is.
 */
export function renderTitle(template: string, facts: TitleFacts): string {
  const { device, district, value, state } = facts;
  const texts: Readonly<Record<string, string>> = {
    'device.name': device.name ?? device.id,
    'device.id': device.id,
    district,
    value: state ?? renderValue(value),
  };
  return template.replace(/\{\{\s*(device\.name|device\.id|district|value)\s*\}\}/g, (_, name: string) => texts[name]!);
}

/** Returns a value for people: two decimals, or three significant digits below 1; a dash for null. */
export function renderValue(value: number | null): string {
  if (value === null) return '–';
  return String(Math.abs(value) >= 1 ? Math.round(value * 100) / 100 : Number(value.toPrecision(3)));
}

/** Returns the titles of a ticket of several alerts. */
export function gatheredTitles(
  { title }: Pick<Service, 'title'>,
  { district }: Pick<AlertLabels, 'district'>,
  { districts }: Pick<City, 'districts'>,
): Titles {
  const place = districts.get(district)?.title;
  return {
    title: `${title.en}${place === undefined ? '' : `, ${place.en}`}: several alerts`,
    titleZh: `${place === undefined ? '' : `${place.zh}：`}${title.zh}（多处报警）`,
  };
}

type Window = Evidence['window'];

/** Returns the value behind a transition in words: `mean of pm25 is 91.23 (alert above 75)`. */
export function describe({ value, evidence }: Pick<Transition, 'value' | 'evidence'>): string {
  const { window, detail } = evidence;
  if (window.fn === 'fault') return detail ?? 'the rule met an error';
  const shown = renderValue(value);
  if (window.fn === 'limit') return `${shown} groups would fire (at most ${limitOf(window)})`;
  if (window.fn === 'quorum') return `${shown} devices match (alert from ${limitOf(window)})`;
  const { state, states } = window;
  if (states !== undefined) {
    const limit = `${window.op === 'is' ? '' : 'not '}${states.join(' or ')}`;
    return `${subjectOf(window)} is ${state ?? shown} (alert where it is ${limit})`;
  }
  return `${subjectOf(window)} is ${shown} (alert ${window.op} ${limitOf(window)})`;
}

function subjectOf({ fn, metric }: Window): string {
  if (fn === 'last') return metric;
  if (fn === 'absent') return `silence of ${metric === '*' ? 'the device' : metric} in seconds`;
  return `${fn} of ${metric}`;
}

function limitOf({ threshold }: Window): string {
  if (threshold === null) return 'what is still being learned';
  return typeof threshold === 'number' ? renderValue(threshold) : threshold.map(renderValue).join(' to ');
}
