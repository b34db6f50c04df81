import { axisLabels } from './parts/axis.ts';
import { createStore, useStore } from './store.ts';

export type Language = 'en' | 'zh';

/** The day before the month in English too: the city is not in the United States. */
const LOCALES = { en: 'en-GB', zh: 'zh-CN' } as const;

function first(): Language {
  const kept = localStorage.getItem('language');
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.language.startsWith('zh') ? 'zh' : 'en';
}

const store = createStore<Language>(first());
document.documentElement.lang = LOCALES[store.get()];

export function setLanguage(language: Language): void {
  localStorage.setItem('language', language);
  document.documentElement.lang = LOCALES[language];
  store.set(language);
}

type Values = Readonly<Record<string, string | number>>;
/** What every catalogue has: the units of durations. */
type Units = 'minutes' | 'hours' | 'whole-hours' | 'days';

/** What a component needs to say something in the language of the page. */
export interface WordsOf<Key extends string> {
  readonly language: Language;
  /** Returns a text of the catalogue; `{name}` in it is replaced by the value of that name. */
  t(key: Key | Units, values?: Values): string;
  /** The text of a name on the wire, such as a status; itself where the catalogue does not have it. */
  term(group: string, name: string): string;
  number(value: number): string;
  /** A day and a time of it, to the minute. */
  time(at: string | number): string;
  clock(at: string | number): string;
  day(at: string | number): string;
  /** A day of a week. */
  date(at: string | number): string;
  /** The labels of the times of a chart's axis, epoch s. */
  axis(times: readonly number[]): string[];
  /** A duration of two units at most, such as `3 h 20 min`. */
  duration(ms: number): string;
}

type Catalogue<Key extends string> = Readonly<Record<Key | Units, string>>;

function wordsIn<Key extends string>(language: Language, texts: Catalogue<Key>): WordsOf<Key> {
  const t = (key: Key | Units, values: Values = {}) =>
    texts[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
  const locale = LOCALES[language];
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
  const date = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
  const weekday = new Intl.DateTimeFormat(locale, { weekday: 'short', month: 'short', day: 'numeric' });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
  return {
    language,
    t,
    term: (group, name) => (`${group}.${name}` in texts ? t(`${group}.${name}` as Key) : name),
    number: (value) => number.format(value),
    time: (at) => day.format(new Date(at)),
    day: (at) => date.format(new Date(at)),
    date: (at) => weekday.format(new Date(at)),
    clock: (at) => clock.format(new Date(at)),
    axis: (times) => axisLabels(times, locale),
    duration(ms) {
      const minutes = Math.max(0, Math.round(ms / 60_000));
      if (minutes < 60) return t('minutes', { n: minutes });
      if (minutes < 2_880 && minutes % 60 === 0) return t('whole-hours', { h: minutes / 60 });
      if (minutes < 2_880) return t('hours', { h: Math.floor(minutes / 60), m: minutes % 60 });
      return t('days', { n: Math.floor(minutes / 1_440) });
    },
  };
}

/** Returns how pages speak by a catalogue; the public page has one of its own, which is small. */
export function createWords<Key extends string>(texts: Readonly<Record<Language, Catalogue<Key>>>) {
  const words = { en: wordsIn<Key>('en', texts.en), zh: wordsIn<Key>('zh', texts.zh) };
  return {
    useWords: (): WordsOf<Key> => words[useStore(store)],
    wordsNow: (): WordsOf<Key> => words[store.get()],
  };
}
