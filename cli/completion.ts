import { LamppostError, suggest } from '../domain/index.ts';
import { commandsOf } from './help.ts';
import { type Command, flagOf, type Group } from './spec.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

const HELP = '--help';

/** What may follow each path: words of commands, flags, or the values of an argument that names them. */
function wordsOf(root: Group, settings: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const words = new Map<string, Set<string>>([['', new Set(['help', HELP, '--version'])]]);
  const add = (path: readonly string[], word: string) => {
    const key = path.join(' ');
    words.set(key, (words.get(key) ?? new Set([HELP])).add(word));
  };
  for (const [path, one] of commandsOf(root)) {
    for (const [i, word] of path.entries()) add(path.slice(0, i), word);
    for (const word of [HELP, ...argumentsOf(one), ...flagsOf(one, settings)]) add(path, word);
  }
  return words;
}

/** Whether arguments are files or folders, such as `<file.csv|file.lp>` or `[folder]`: the shell completes them. */
const takesFiles = ({ args = '' }: Command) => /\b(file|folder|backup|yaml)\b/.test(args);

/** The values of the first argument: `bash`, `zsh` and `fish` of `<bash|zsh|fish>`. */
function argumentsOf(one: Command): string[] {
  const [, values = ''] = /^[<[]([\w-]+(?:\|[\w-]+)+)[>\]]/.exec(one.args ?? '') ?? [];
  return takesFiles(one) ? [] : values.split('|').filter(Boolean);
}

/** What may follow a flag of each path; empty: any value, such as the name of a file. */
function valuesOf(root: Group, settings: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const entries = [...commandsOf(root)].flatMap(([path, one]) => {
    const own = Object.entries(one.flags).flatMap(([name, flag]) =>
      flag.kind === 'switch' ? [] : [[`--${name}`, 'of' in flag ? (flag.of ?? []) : []] as const],
    );
    const free = settingFlags(one, settings).map((flag) => [flag, []] as const);
    return [...own, ...free].map(([flag, values]) => [[...path, flag].join(' '), values] as const);
  });
  return new Map(entries);
}

const settingFlags = (one: Command, settings: readonly string[]) => (one.settings ? settings.map(flagOf) : []);

function flagsOf(one: Command, settings: readonly string[]): string[] {
  return [...Object.keys(one.flags).map((name) => `--${name}`), ...settingFlags(one, settings)];
}

/** `completion <shell>`. */
export async function printCompletion(shell: string, root: Group): Promise<number> {
  if (!SHELLS.some((one) => one === shell))
    throw new LamppostError('config', `completion: unknown shell "${shell}"${suggest(shell, SHELLS)}`);
  const { SETTINGS } = await import('../app/index.ts');
  console.log(completionOf(shell, root, SETTINGS));
  return 0;
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

interface Found {
  readonly words: ReadonlyMap<string, ReadonlySet<string>>;
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** Commands whose arguments are files. */
  readonly files: readonly string[];
}

/** A script that completes commands, flags and their values in a shell; `lamppost completion bash` prints it. */
export function completionOf(shell: string, root: Group, settings: readonly string[]): string {
  const files = [...commandsOf(root)].flatMap(([path, one]) => (takesFiles(one) ? [path.join(' ')] : []));
  const found = { words: wordsOf(root, settings), values: valuesOf(root, settings), files };
  if (shell === 'fish') return fish(found);
  return shell === 'zsh' ? zsh(searchOf(found)) : bash(searchOf(found));
}

/** Sets `found` to what may stand at `cur`; empty: a file. bash and zsh have the same syntax for it. */
function searchOf({ words, values, files }: Found): string {
  const some = [...words, ...values].map(([path, all]) => [path, [...all].join(' ')] as const);
  const cases = some
    .filter(([, all]) => all !== '')
    .map(([path, all]) => `    ${quoted(path)}) found=${quoted(all)} ;;`);
  const listed = (paths: Iterable<string>) => quoted(`|${[...paths].join('|')}|`);
  return `    next="\${place:+$place }$word"
    [[ ${listed(words.keys())} == *"|$next|"* ]] && place="$next"
  done
  next="$place $word"
  [[ ${listed(values.keys())} == *"|$next|"* ]] && place="$next"
  case "$place" in
${cases.join('\n')}
  esac
  [[ "$cur" != -* && ${listed(files)} == *"|$place|"* ]] && found=''`;
}

const bash = (search: string) => `# lamppost completion bash > /etc/bash_completion.d/lamppost
_lamppost() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" place='' next='' found='' word=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${search}
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -o default -F _lamppost lamppost`;

// zsh runs the file as the function itself the first time that it completes.
const zsh = (search: string) => `#compdef lamppost
# lamppost completion zsh > "\${fpath[1]}/_lamppost"
_lamppost() {
  local cur="\${words[CURRENT]}" place='' next='' found='' word=''
  for word in "\${(@)words[2,CURRENT-1]}"; do
${search}
  if [[ -z "$found" ]]; then _files; else compadd -- \${=found}; fi
}
if [[ "$funcstack[1]" == _lamppost ]]; then _lamppost "$@"; else compdef _lamppost lamppost; fi`;

function fish({ words, values, files }: Found): string {
  const condition = (path: string) => quoted(`test "$(__lamppost_place)" = "${path}"`);
  const line = (path: string, what: string) => `complete -c lamppost -n ${condition(path)} ${what}`;
  const some = [...words, ...values].map(([path, all]) => [path, [...all].join(' ')] as const);
  const lines = [
    ...some.map(([path, all]) => line(path, all === '' ? '-F' : `-a ${quoted(all)}`)),
    ...files.map((path) => line(path, '-F')),
  ];
  return `# lamppost completion fish > ~/.config/fish/completions/lamppost.fish
function __lamppost_place
    set -l paths ${[...words.keys()].map(quoted).join(' ')}
    set -l flags ${[...values.keys()].map(quoted).join(' ')}
    set -l place ''
    set -l word ''
    for word in (commandline -opc)[2..]
        set -l next (string trim -- "$place $word")
        contains -- $next $paths; and set place $next
    end
    contains -- "$place $word" $flags; and set place "$place $word"
    echo $place
end
complete -c lamppost -f
${lines.join('\n')}`;
}
