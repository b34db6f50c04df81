/** A topic with named parts: `tele/{device}/SENSOR`. Each part is one whole level; `+` is a level without a name. */
export interface TopicPattern<T> {
  readonly text: string;
  readonly levels: readonly string[];
  readonly of: T;
}

/** The levels of a topic that have a name. */
export type TopicParts = Readonly<Record<string, string>>;

const MOST_LEVELS = 16;
const PART = /^\{([a-z][a-z0-9_]{0,31})\}$/;
/** What Lamppost itself has a meaning for. */
const OWN_ROOTS = new Set([
  'devices',
  'live',
  'events',
  'tickets',
  'application',
  'v3',
  'http',
  '$SYS',
  '$share',
  '$queue',
]);

/** Returns the mistake in a pattern; null where it has none. */
export function patternFault(text: string): string | null {
  const levels = text.split('/');
  if (levels.length > MOST_LEVELS || text.length > 256) return `a topic has at most ${MOST_LEVELS} levels here`;
  if (text.includes('\u0000')) return 'a topic has no U+0000';
  if (OWN_ROOTS.has(levels[0]!)) return `topics below ${levels[0]}/ have a meaning of their own; see docs/formats.md`;
  const names = levels.flatMap((level) => PART.exec(level)?.[1] ?? []);
  const repeated = names.find((name, i) => names.indexOf(name) < i);
  if (repeated !== undefined) return `the part {${repeated}} is named twice`;
  const odd = levels.find((level) => level !== '+' && !PART.test(level) && /[{}+#]/.test(level));
  if (odd !== undefined) return `"${odd}": a part is a whole level, {device} or +; # is not possible`;
  return levels.some((level) => !isOpen(level) && level !== '') ? null : 'at least one level is a fixed text';
}

/** Returns a pattern that has no mistakes. */
export function patternOf<T>(text: string, of: T): TopicPattern<T> {
  return { text, levels: text.split('/'), of };
}

/** Returns the names of a pattern's parts. */
export function partsOf(text: string): string[] {
  return text.split('/').flatMap((level) => PART.exec(level)?.[1] ?? []);
}

/** Whether two patterns match the same topics. Of others that a topic matches, the one with the fixed text wins. */
export function sameTopics(a: string, b: string): boolean {
  const shape = (text: string) => text.split('/').map((level) => (isOpen(level) ? '+' : level));
  return shape(a).join('/') === shape(b).join('/');
}

/** Patterns by their number of levels. Where two match, a fixed text goes before a part, level by level. */
export class TopicPatterns<T> {
  readonly #byLevels = new Map<number, TopicPattern<T>[]>();

  constructor(patterns: Iterable<TopicPattern<T>>) {
    for (const pattern of patterns) {
      const same = this.#byLevels.get(pattern.levels.length);
      if (same === undefined) this.#byLevels.set(pattern.levels.length, [pattern]);
      else same.push(pattern);
    }
    for (const some of this.#byLevels.values()) some.sort((a, b) => (openness(a) < openness(b) ? -1 : 1));
  }

  /** Returns what a topic stands for, with its named parts; null where no pattern matches. */
  match(topic: string): { readonly of: T; readonly parts: TopicParts } | null {
    if (this.#byLevels.size === 0) return null;
    const levels = topic.split('/');
    for (const { levels: wanted, of } of this.#byLevels.get(levels.length) ?? []) {
      if (wanted.every((level, i) => level === levels[i] || (isOpen(level) && levels[i] !== ''))) {
        return { of, parts: partsIn(wanted, levels) };
      }
    }
    return null;
  }
}

function partsIn(wanted: readonly string[], levels: readonly string[]): TopicParts {
  const parts: Record<string, string> = {};
  for (const [i, level] of wanted.entries()) {
    const name = PART.exec(level)?.[1];
    if (name !== undefined) parts[name] = levels[i]!;
  }
  return parts;
}

/** The levels in order, with the fixed ones first. */
function openness({ levels }: TopicPattern<unknown>): string {
  return levels.map((level) => (isOpen(level) ? '1' : '0')).join('');
}

function isOpen(level: string): boolean {
  return level === '+' || PART.test(level);
}

/** What names the device in a topic: the text of the format with parts, or the part `device`; '' where nothing does. */
export function namedBy(topic: string, device: string | null): string {
  if (device?.includes('{')) return device;
  return device === null && partsOf(topic).includes('device') ? '{device}' : '';
}

/** Replaces `{parts}` of the topic in a text; one that the topic does not have stays. */
export function resolveParts(text: string, parts: TopicParts): string {
  return text.includes('{') ? text.replace(/\{([a-z0-9_]+)\}/g, (all, name: string) => parts[name] ?? all) : text;
}
