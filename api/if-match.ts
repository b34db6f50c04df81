import type { IncomingHttpHeaders } from 'node:http';
import { LamppostError } from '../domain/index.ts';

/** An entity tag (RFC 9110 §8.8.3); a comma may stand inside. */
const TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;
/** The elements of a list (§5.6.1): quoted text, or anything else up to a comma. */
const ELEMENTS = /(?:"[^"]*"|[^,])+/g;

/** Returns the strong entity tag of a version. */
export const etagOf = (version: string | number) => `"${version}"`;

/**
 * Returns the versions that `If-Match` allows (RFC 9110 §13.1.1); null where it allows any: no header, or `*`. The
 * comparison is strong (§8.8.3.2): a weak tag matches nothing and is left out. Throws `invalid` where the header is not
 * a list of entity tags, and `precondition` where all of them are weak.
 */
export function versionsOf(ifMatch: string | undefined): readonly string[] | null {
  if (ifMatch === undefined || ifMatch.trim() === '*') return null;
  const elements = (ifMatch.match(ELEMENTS) ?? []).map((element) => element.trim()).filter(Boolean);
  const tags = elements.map((element) => tagOf(element, ifMatch));
  if (tags.length === 0) throw malformed(ifMatch);
  const strong = tags.filter(({ weak }) => !weak).map(({ version }) => version);
  if (strong.length > 0) return strong;
  const right = tags.map(({ version }) => etagOf(version)).join(', ');
  throw new LamppostError('precondition', `If-Match: ${ifMatch} is weak and matches no version; send ${right}`);
}

/**
 * Returns the version that an action expects: the current one if `If-Match` lists it, else the newest that it lists.
 * The engine compares it at the action's place in the log, and a refusal is in the audit trail: the state that this
 * node reads may be older, and a repeated request gets the first result. Undefined where any version will do. Throws
 * `precondition` with the reason where no tag is a version at all.
 */
export function versionIn(
  headers: IncomingHttpHeaders,
  version: number,
  [reason, text]: readonly [reason: NonNullable<LamppostError['reason']>, text: string],
): number | undefined {
  const listed = versionsOf(headers['if-match']);
  if (listed === null) return undefined;
  if (listed.includes(String(version))) return version;
  const newest = Math.max(...listed.map(Number));
  if (Number.isSafeInteger(newest)) return newest;
  throw new LamppostError('precondition', `${text}: it is at version ${version}, not ${listed.join(', ')}`, { reason });
}

function tagOf(element: string, ifMatch: string): { readonly weak: boolean; readonly version: string } {
  const [, weak, version] = TAG.exec(element) ?? [];
  if (version === undefined) throw malformed(ifMatch);
  return { weak: weak !== undefined, version };
}

function malformed(ifMatch: string): LamppostError {
  const right = 'send *, or one or more ETags in double quotes, such as "3" or "3", "4"';
  return new LamppostError('invalid', `If-Match: ${ifMatch} is not a list of entity tags; ${right}`);
}
