/**
 * How long a test waits for anything at most, ms. Only a safety net: a test that passes never comes near it, however
 * busy its machine is, and so it is no verdict about a time. Half a minute was not enough where memory is slow: a start
 * took 20 s there beside three others.
 */
export const PATIENCE_MS = 90_000;

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Resolves to the first result of `look` that is not false, null or undefined; rejects when the patience is over. As
 * long as what `what` returns changes, what is waited for comes nearer, and the patience begins again.
 */
export async function until<T>(
  look: () => T | Promise<T>,
  what: string | (() => string) = 'what the test waits for',
  everyMs = 5,
): Promise<Exclude<T, false | null | undefined>> {
  let seen: string | null = null;
  let deadline = 0;
  for (;;) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found as Exclude<T, false | null | undefined>;
    const now = typeof what === 'string' ? what : what();
    if (now !== seen) deadline = Date.now() + PATIENCE_MS;
    seen = now;
    if (Date.now() > deadline) throw new Error(`it did not come: ${now}`);
    await pause(everyMs);
  }
}
