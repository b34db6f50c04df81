import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A fenced block of a page: where it begins, its language (empty: none), and its text. */
export interface Fenced {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** The pages that people read: the README and everything directly in `docs`. */
export const PAGES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
];

/** Returns the fenced blocks of a page, in order. */
export function fencedBlocks(page: string): Fenced[] {
  const blocks: Fenced[] = [];
  let open: { line: number; language: string; lines: string[] } | null = null;
  for (const [i, text] of readFileSync(join(ROOT, page), 'utf8').split('\n').entries()) {
    const fence = /^\s*```\s*(\w*)/.exec(text);
    if (fence === null) open?.lines.push(text);
    else if (open === null) open = { line: i + 2, language: fence[1]!, lines: [] };
    else {
      blocks.push({ page, line: open.line, language: open.language, text: open.lines.join('\n') });
      open = null;
    }
  }
  return blocks;
}

/**
 * Arguments of `unshare` for a command with a network and processes of its own, which end with it. Whoever is not root
 * becomes root in a user namespace; root needs none, and may not be allowed one.
 */
export const APART = [
  ...['--net', '--pid', '--fork', '--kill-child'],
  ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
];
