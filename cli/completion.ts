import { LamppostError, suggest } from '../domain/index.ts';
import { commandsOf } from './help.ts';
import { type Command, flagOf, type Group } from './spec.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What may follow each path: words of commands, or flags. */
function wordsOf(root: Group, settings: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const words = new Map<string, Set<string>>();
  const add = (path: readonly string[], word: string) => {
    const key = path.join(' ');
    words.set(key, (words.get(key) ?? new Set()).add(word));
  };
  for (const [path, one] of commandsOf(root)) {
    for (const [i, word] of path.entries()) add(path.slice(0, i), word);
    for (const flag of flagsOf(one, settings)) add(path, flag);
  }
  return words;
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

/** A script that completes commands and flags in a shell; `lamppost completion bash` prints it. */
export function completionOf(shell: string, root: Group, settings: readonly string[]): string {
  const words = wordsOf(root, settings);
  if (shell === 'fish') return fish(words);
  const cases = [...words].map(([path, all]) => `    ${quoted(path)}) found=${quoted([...all].join(' '))} ;;`);
  const paths = quoted(`|${[...words.keys()].join('|')}|`);
  const find = `    next="\${place:+$place }$word"
    [[ ${paths} == *"|$next|"* ]] && place="$next"
  done
  case "$place" in
${cases.join('\n')}
  esac`;
  return shell === 'zsh' ? zsh(find) : bash(find);
}

const bash = (find: string) => `# lamppost completion bash > /etc/bash_completion.d/lamppost
_lamppost() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" place='' next='' found='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${find}
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -o default -F _lamppost lamppost`;

const zsh = (find: string) => `#compdef lamppost
# lamppost completion zsh > "\${fpath[1]}/_lamppost"
_lamppost() {
  local place='' next='' found='' word
  for word in "\${(@)words[2,CURRENT-1]}"; do
${find}
  compadd -- \${=found}
}
compdef _lamppost lamppost`;

function fish(words: ReadonlyMap<string, ReadonlySet<string>>): string {
  const lines = [...words].map(
    ([path, all]) =>
      `complete -c lamppost -n ${quoted(`test "$(__lamppost_place)" = "${path}"`)} -a ${quoted([...all].join(' '))}`,
  );
  return `# lamppost completion fish > ~/.config/fish/completions/lamppost.fish
function __lamppost_place
    set -l paths ${[...words.keys()].map(quoted).join(' ')}
    set -l place ''
    for word in (commandline -opc)[2..]
        set -l next (string trim -- "$place $word")
        contains -- $next $paths; and set place $next
    end
    echo $place
end
complete -c lamppost -f
${lines.join('\n')}`;
}
