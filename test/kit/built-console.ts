import { buildConsole } from '../../console/build/build.ts';

/** The pages that the tests open are those of the sources as they are now. */
export async function setup(): Promise<void> {
  await buildConsole();
}
