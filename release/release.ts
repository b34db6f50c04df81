/** What a release is decided on. */
export interface Before {
  /** The version to release, as it was given. */
  readonly version: string;
  /** The version that package.json has. */
  readonly current: string;
  /** The branch that is checked out. */
  readonly branch: string;
  /** Files that differ from its last commit, or are in none. */
  readonly changed: readonly string[];
  readonly tags: readonly string[];
  readonly changelog: string;
}

const NUMBER = '(0|[1-9]\\d*)';
/** Semantic Versioning 2.0.0, without build metadata: a release is one commit. */
const VERSION = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-([0-9a-z]+(?:\\.[0-9a-z]+)*))?$`);

/** The heading of what comes next, as `## Unreleased` or `## 1.2.0, unreleased`. */
const UNRELEASED = /^## (?:\S+, )?unreleased$/im;

export const tagOf = (version: string) => `v${version}`;

/** Returns in one sentence why there can be no release; null where there can. */
export function faultOf({ version, current, branch, changed, tags, changelog }: Before): string | null {
  if (!VERSION.test(version)) return `"${version}" is no version; write 1.2.0 or 1.2.0-rc.1`;
  if (compared(version, current) < 0) return `${version} is older than ${current}, which package.json has`;
  if (tags.includes(tagOf(version))) return `${version} was released: there is a tag ${tagOf(version)}`;
  if (branch !== 'main') return `releases are made on main; this is ${branch || 'no branch'}`;
  if (changed.length > 0) return `there are changes that are not committed: ${changed.slice(0, 5).join(', ')}`;
  const [, after] = changelog.split(UNRELEASED);
  if (after === undefined) return 'CHANGELOG.md has no heading "## Unreleased"';
  const [under] = after.split(/^## /m);
  return under!.trim() === '' ? 'CHANGELOG.md has nothing that is unreleased' : null;
}

/** Compares versions by precedence (Semantic Versioning 2.0.0 §11): negative where the first is older. */
export function compared(a: string, b: string): number {
  const [, ...left] = VERSION.exec(a) ?? [];
  const [, ...right] = VERSION.exec(b) ?? [];
  for (const i of [0, 1, 2]) {
    const difference = Number(left[i]) - Number(right[i]);
    if (difference !== 0) return difference;
  }
  if (left[3] === undefined || right[3] === undefined)
    return Number(left[3] === undefined) - Number(right[3] === undefined);
  return left[3].localeCompare(right[3], 'en', { numeric: true });
}

/** Returns the changelog with what is unreleased as a version of a day, and a new heading above it for what comes. */
export function withHeading(changelog: string, version: string, day: string): string {
  return changelog.replace(UNRELEASED, () => `## Unreleased\n\n## ${version}, ${day}`);
}

/** Returns package.json or package-lock.json with another version of the package, otherwise as npm writes it. */
export function withVersion(json: string, version: string): string {
  const parsed = JSON.parse(json) as { version: string; packages?: { '': { version: string } } };
  parsed.version = version;
  if (parsed.packages !== undefined) parsed.packages[''].version = version;
  return `${JSON.stringify(parsed, null, 2)}\n`;
}

/** Returns an SBOM of npm (CycloneDX) of the package itself; npm names it after its folder. */
export function withName(sbom: string, name: string): string {
  const parsed = JSON.parse(sbom) as { metadata: { component: { name: string } } };
  parsed.metadata.component.name = name;
  return `${JSON.stringify(parsed, null, 2)}\n`;
}
