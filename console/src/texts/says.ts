import type { en } from './en.ts';

/** How a page says something, for functions that are no components. */
export interface Says {
  t(key: keyof typeof en, values?: Readonly<Record<string, string | number>>): string;
  term(group: string, name: string): string;
}
