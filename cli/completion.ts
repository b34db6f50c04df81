import { LamppostError, suggest } from '../domain/index.ts';
import { commandsOf } from './help.ts';
import { type Command, flagOf, type Group } from './spec.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What may follow each path: words of commands, flags, or the values of an argument that names them. */
function wordsOf(root: Group, settings: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const words = new Map<string, Set<string>>();
  const add = (path: readonly string[], word: string) => {
    const key = path.join(' ');
    words.set(key, (words.get(key) ?? new Set()).add(word));
  };
  for (const [path, one] of commandsOf(root)) {
    for (const [i, word] of path.entries()) add(path.slice(0, i), word);
    for (const word of [...argumentsOf(one), ...flagsOf(one, settings)]) add(path, word);
  }
  return words;
}

/** The values of the first argument: `bash`, `zsh` and `fish` of `<bash|zsh|fish>`; none of `<file.csv|file.lp>`. */
function argumentsOf({ args = '' }: Command): string[] {
  const [, values = ''] = /^[<[]([\w-]+(?:\|[\w-]+)+)[>\]]/.exec(args) ?? [];
  return values.split('|').filter(Boolean);
}

/** What may follow a flag of each path; empty: any value, such as the name of a file. */
function valuesOf(root: Group): ReadonlyMap<string, readonly string[]> {
  const entries = [...commandsOf(root)].flatMap(([path, { flags }]) =>
    Object.entries(flags).flatMap(([name, one]) => {
      if (one.kind === 'switch') return [];
      return [[[...path, `--${name}`].join(' '), 'of' in one ? (one.of ?? []) : []] as const];
    }),
  );
  return new Map(entries);
}

function flagsOf(one: Command, settings: readonly string[]): string[] {
  const own = Object.keys(one.flags).map((name) => `--${name}`);
  return [...own, ...(one.settings ? settings.map(flagOf) : []), '--help'];
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

/** A script that completes commands, flags and their values in a shell; `lamppost completion bash` prints it. */
export function completionOf(shell: string, root: Group, settings: readonly string[]): string {
  const words = wordsOf(root, settings);
  const values = valuesOf(root);
  if (shell === 'fish') return fish(words, values);
  const found = [...words, ...values];
  const cases = found.map(([path, all]) => `    ${quoted(path)}) found=${quoted([...all].join(' '))} ;;`);
  const listed = (paths: Iterable<string>) => quoted(`|${[...paths].join('|')}|`);
  const find = `    next="\${place:+$place }$word"
    [[ ${listed(words.keys())} == *"|$next|"* ]] && place="$next"
  done
  next="$place $word"
  [[ ${listed(values.keys())} == *"|$next|"* ]] && place="$next"
  case "$place" in
${cases.join('\n')}
  esac`;
  return shell === 'zsh' ? zsh(find) : bash(find);
}

const bash = (find: string) => `# lamppost completion bash > /etc/bash_completion.d/lamppost
_lamppost() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" place='' next='' found='' word=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${find}
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -o default -F _lamppost lamppost`;

const zsh = (find: string) => `#compdef lamppost
# lamppost completion zsh > "\${fpath[1]}/_lamppost"
_lamppost() {
  local place='' next='' found='' word=''
  for word in "\${(@)words[2,CURRENT-1]}"; do
${find}
  if [[ -z "$found" ]]; then _files; else compadd -- \${=found}; fi
}
compdef _lamppost lamppost`;

function fish(words: ReadonlyMap<string, ReadonlySet<string>>, values: ReadonlyMap<string, readonly string[]>): string {
  const condition = (path: string) => quoted(`test "$(__lamppost_place)" = "${path}"`);
  const lines = [...words, ...values].map(([path, all]) => {
    const some = [...all].join(' ');
    return `complete -c lamppost -n ${condition(path)} ${some === '' ? '-F' : `-a ${quoted(some)}`}`;
  });
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
