import { credentials, ProblemError } from '../api/client.ts';

/** A sample of `/metrics`, without `lamppost_` before its name. */
interface Sample {
  readonly name: string;
  /** As they are written, `{client="bin-1"}`; empty: none. */
  readonly labels: string;
  readonly value: number;
}

/** Resolves to the samples of `/metrics`. Throws `ProblemError`. */
export async function readMetrics(): Promise<Sample[]> {
  const response = await fetch('/metrics', { headers: credentials() });
  if (!response.ok) throw new ProblemError(response.status, undefined);
  return Array.from(
    (await response.text()).matchAll(/^lamppost_(\w+)(\{[^\n]*\})? (\S+)$/gm),
    ([, name = '', labels = '', value]) => ({ name, labels, value: Number(value) }),
  );
}
