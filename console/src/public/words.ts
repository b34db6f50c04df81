import { publicEn } from '../texts/public-en.ts';
import { publicZh } from '../texts/public-zh.ts';
import { createWords, type WordsOf } from '../words.ts';

export type PublicText = keyof typeof publicEn;
export type PublicWords = WordsOf<PublicText>;

/** How the public page speaks. */
export const { useWords } = createWords<PublicText>({ en: publicEn, zh: publicZh });
