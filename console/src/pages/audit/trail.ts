import { api, bodyOf } from '../../api/client.ts';
import type { AuditEntry } from '../../api/schema.ts';

/** What was found: how many entries fit, and the first that does not. */
export interface Verified {
  readonly entries: number;
  readonly fault: number | null;
}

const AT_ONCE = 1_000;

/**
 * Checks every entry that the server has against its hash, which covers the one before it, in this browser: the server
 * is not asked whether it is honest. The oldest entry vouches for those that have expired. Throws `ProblemError`.
 */
export async function verifyTrail(progress: (entries: number) => void, ended: AbortSignal): Promise<Verified> {
  let entries = 0;
  let after: string | null = null;
  let later: AuditEntry | null = null;
  do {
    ended.throwIfAborted();
    const page: { items: AuditEntry[]; next: string | null } = await bodyOf(
      api.GET('/api/v1/audit', { params: { query: { limit: AT_ONCE, after } } }),
    );
    for (const entry of page.items) {
      if (later !== null && !(await follows(later, entry))) return { entries, fault: later.n };
      later = entry;
      entries++;
    }
    progress(entries);
    after = page.next;
  } while (after !== null);
  if (later !== null && later.n === 1 && !(await follows(later, null))) return { entries, fault: 1 };
  return { entries, fault: null };
}

/** Whether an entry has the hash of its content and of the entry before it; null: it is the first. */
async function follows(entry: AuditEntry, before: AuditEntry | null): Promise<boolean> {
  const { n, at, place, actor, role, department, address, action, target, result, detail, hash } = entry;
  if (before !== null && before.n !== n - 1) return false;
  const content = [n, Date.parse(at), place, actor, role, department, address, action, target, result, detail];
  const text = new TextEncoder().encode(JSON.stringify(content));
  const whole = new Uint8Array(32 + text.length);
  if (before !== null) whole.set(bytesOf(before.hash));
  whole.set(text, 32);
  return hash === hexOf(new Uint8Array(await crypto.subtle.digest('SHA-256', whole)));
}

const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
