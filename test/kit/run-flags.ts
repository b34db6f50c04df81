import { type ParseArgsOptionDescriptor, parseArgs } from 'node:util';

/** A flag of a program of the tests, and what `--help` says of it. */
type Flags = Readonly<Record<string, ParseArgsOptionDescriptor & { readonly help: string }>>;

/** Reads the flags of a program of the tests. A mistake in them is one line; with `--help` it prints them and ends. */
export function readFlags<const T extends Flags>(program: string, options: T) {
  if (process.argv.includes('--help')) {
    for (const [name, { type, help }] of Object.entries(options))
      console.log(`--${name}${type === 'string' ? ' <…>' : ''}`.padEnd(20) + help);
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    console.error(`${program}: ${(error as Error).message} (--help)`);
    process.exit(2);
  }
}
