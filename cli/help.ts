import { type Command, type Flags, flagOf, type Group, isGroup } from './spec.ts';

type Words = Readonly<Record<string, string>>;

const WIDE = 30;

const row = (left: string, right: string) =>
  left.length < WIDE ? `  ${left.padEnd(WIDE)}${right}` : `  ${left}\n  ${' '.repeat(WIDE)}${right}`;

const written = (name: string, value: string) => (value === '' ? `--${name}` : `--${name} ${value}`);

/** The flags of a command, each with what stands for its value. */
const flagRows = (flags: Flags) =>
  Object.entries(flags).map(([name, { value, help }]) => row(written(name, value), help));

/** The text of `lamppost [path] --help`. `settings`: what each of them is, for a command that takes them. */
export function helpOf(path: readonly string[], node: Command | Group, settings: Words = {}): string {
  const name = ['lamppost', ...path].join(' ');
  return isGroup(node) ? helpOfGroup(name, node) : helpOfCommand(name, node, settings);
}

function helpOfGroup(name: string, { about, commands }: Group): string {
  const rows = Object.entries(commands).map(([verb, one]) => row(isGroup(one) ? verb : usage(verb, one), one.about));
  const all = [...rows, row('--help', `of each: ${name} <command> --help`)];
  return [`${name} <command>`, '', about, '', ...all].join('\n');
}

const usage = (name: string, { args = '' }: Command) => [name, args].filter(Boolean).join(' ');

function helpOfCommand(name: string, one: Command, settings: Words): string {
  const named = Object.entries(settings).map(([setting, words]) => row(flagOf(setting), `${words} (${setting})`));
  const every = named.length === 0 ? [] : ['', 'Every setting (docs/settings.md) is a flag, too, and wins:', ...named];
  return [
    `${usage(name, one)} [flags]`,
    '',
    one.about,
    '',
    ...flagRows(one.flags),
    row('--help', 'this'),
    ...every,
  ].join('\n');
}

/** Every command below a node, with its path. */
export function* commandsOf(
  node: Group,
  path: readonly string[] = [],
): Generator<readonly [readonly string[], Command]> {
  for (const [name, one] of Object.entries(node.commands)) {
    if (isGroup(one)) yield* commandsOf(one, [...path, name]);
    else yield [[...path, name], one];
  }
}

const cell = (text: string) => text.replaceAll('|', '\\|');

/** The page of all commands, docs/commands.md. */
export function pageOf(root: Group, head: string): string {
  const parts = [...commandsOf(root)].map(([path, one]) => {
    const rows = Object.entries(one.flags).map(
      ([name, { value, help }]) => `| \`${cell(written(name, value))}\` | ${cell(help)} |`,
    );
    const table = rows.length === 0 ? [] : ['', '| flag | |', '| --- | --- |', ...rows];
    return [
      `## ${path.join(' ')}`,
      '',
      `\`${usage(['lamppost', ...path].join(' '), one)}\``,
      '',
      one.about,
      ...table,
    ].join('\n');
  });
  return `${[head.trim(), ...parts].join('\n\n')}\n`;
}
