import { bundle } from '../../bin/bundle.ts';
import { buildConsole } from '../../console/build/build.ts';

/** The pages that the tests open, and the servers that they start, are those of the sources as they are now. */
export async function setup(): Promise<void> {
  await buildConsole();
  await bundle();
}
