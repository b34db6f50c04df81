import { credentials, ProblemError } from '../api/client.ts';

/**
 * Saves a document of the API as a file, with all pages that follow it. A link would do, but cannot send a key. Throws
 * `ProblemError`.
 */
export async function download(path: string, name: string): Promise<void> {
  // A blob for each page: the browser may keep them on its disk.
  const parts: Blob[] = [];
  for (let next: string | null = path; next !== null; ) {
    const response: Response = await fetch(next, { headers: credentials() });
    if (!response.ok) throw new ProblemError(response.status, await response.json().catch(() => undefined));
    const text = await response.text();
    // Each page of a table begins with its header.
    parts.push(new Blob([parts.length === 0 ? text : text.slice(text.indexOf('\n') + 1)]));
    next = nextIn(response.headers.get('link'), next);
  }
  save(new Blob(parts), name);
}

/** The next page has the same filter. */
function nextIn(link: string | null, path: string): string | null {
  const [, target] = /^<([^>]+)>; rel="next"$/.exec(link ?? '') ?? [];
  if (target === undefined) return null;
  const query = new URLSearchParams(path.split('?')[1]);
  for (const [key, value] of new URLSearchParams(target.split('?')[1])) query.set(key, value);
  return `${target.split('?')[0]}?${query}`;
}

function save(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
