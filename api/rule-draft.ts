import type { FastifyRequest } from 'fastify';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { RuleDraft, RuleEditor } from '../rules/index.ts';

const MOST_CHARACTERS = 100_000;
const text = z.string().min(1).max(MOST_CHARACTERS);
const note = z.string().max(1_000);

/** A rule as it comes: its YAML as the body; `{text, note}` with the YAML in it; or the rule itself as an object. */
export const RuleBody = z.union([
  text,
  z.strictObject({ text, note: note.default('') }),
  z.looseObject({ text: z.never().optional() }),
]);

/** `?note=` where the body has no room for one. */
export const Noted = z.object({ note: note.default('') });

/** The text of a rule that was sent as YAML or as an object. */
export function textOf(rule: string | object): string {
  return typeof rule === 'string' ? rule : stringify(rule);
}

/** What the body of a request wants a rule to be. */
export function draftOf(body: z.infer<typeof RuleBody>, query: z.infer<typeof Noted>): RuleDraft {
  if (typeof body === 'object' && typeof body.text === 'string') {
    return { text: body.text, note: 'note' in body ? String(body.note) : query.note };
  }
  return { text: textOf(body), note: query.note };
}

/** Who changes a rule, and of which version they think (`If-Match`, RFC 9110 §13.1.1). */
export function editorOf({ key, headers }: FastifyRequest): RuleEditor {
  const asked = headers['if-match'];
  const tags = (asked ?? '*').split(',').map((tag) => tag.trim().replace(/^(W\/)?"?|"$/g, ''));
  return { by: key!.id, ifMatch: tags.includes('*') ? null : tags };
}

/** The entity tag of a version. */
export const etagOf = (version: string) => `"${version}"`;
