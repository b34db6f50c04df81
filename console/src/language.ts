import { en } from './texts/en.ts';
import { zh } from './texts/zh.ts';
import { createWords, type WordsOf } from './words.ts';

export { type Language, setLanguage } from './words.ts';
export type TextKey = keyof typeof en;
export type Words = WordsOf<TextKey>;

/** How the console speaks. */
export const { useWords, wordsNow } = createWords<TextKey>({ en, zh });
