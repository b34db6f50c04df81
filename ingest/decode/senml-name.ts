const MOST_ENDINGS = 8;
/** RFC 9039 §4.1: what follows the first `_` behind the identifier names a part of the device. */
const DEVICE_PART = /^urn:dev:[A-Za-z0-9]+:[^:/_]+_/;

/**
 * What a SenML name may be called for short: its ends behind each `:` and `/`, the longest first, at most 8.
 * `urn:dev:mac:0024be:indoor/temp` is also `mac:0024be:indoor/temp`, … `indoor/temp` and `temp`.
 */
function endingsOf(name: string): readonly string[] {
  const endings: string[] = [];
  const part = DEVICE_PART.exec(name)?.[0].length ?? -1;
  for (let at = name.length - 1; at > 0 && endings.length < MOST_ENDINGS; at--) {
    const before = name[at - 1];
    if (before === ':' || before === '/' || at === part) endings.push(name.slice(at));
  }
  return endings.reverse();
}

/** The endings that stand for one name only: two names of a pack that end alike must be told apart by more of them. */
export function uniqueEndings(names: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const endings = new Map<string, readonly string[]>();
  const owners = new Map<string, string | null>();
  for (const name of names) {
    if (endings.has(name)) continue;
    const own = endingsOf(name);
    endings.set(name, own);
    for (const one of [name, ...own]) owners.set(one, owners.has(one) ? null : name);
  }
  for (const [name, own] of endings) {
    endings.set(
      name,
      own.filter((one) => owners.get(one) === name),
    );
  }
  return endings;
}
