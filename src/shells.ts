/**
 * Completion scripts. Each asks `git-convosync __complete -- <words>`, so that they know nothing themselves and need no
 * update when the program gets one. How each shell finds them is in docs/cli.md.
 */
export type Shell = "bash" | "zsh" | "fish";

/** The first line of everything `setup` writes: by it `setup --uninstall` knows its own. */
export const mark = "made by git-convosync";

// git's own completion calls _git_convosync from a file of the name git-convosync. `@`, `=` and `:` may break words in
// bash, and then only what follows the break is replaced.
const bash = `# ${mark}: bash completion for git-convosync, convosync and git convosync
__git_convosync_reply() {
  local current="$1" line value text files= cut=
  shift
  local -a values=() texts=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1; continue; fi
    value=\${line%%$'\\t'*}
    text=\${line#*$'\\t'}
    values+=("$value")
    texts+=("$text")
  done < <(git-convosync __complete -- "$@" 2>/dev/null)
  COMPREPLY=()
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${current##*=}")
    return
  fi
  local i char rest="$current"
  for ((i = \${#current}; i > 0; i--)); do
    char=\${current:i-1:1}
    if [[ $char == [=:@] && $COMP_WORDBREAKS == *"$char"* ]]; then cut=\${current:0:i}; break; fi
  done
  for i in "\${!values[@]}"; do
    value=\${values[i]#"$cut"}
    if ((\${#values[@]} == 1)) || [[ -z \${texts[i]} || $COMP_TYPE == 37 ]]; then
      if ((\${#values[@]} == 1)); then value=$(printf '%q' "$value"); fi
      COMPREPLY+=("$value")
    else
      COMPREPLY+=("$(printf '%s  (%s)' "$value" "\${texts[i]}")")
    fi
  done
  compopt -o nosort 2>/dev/null
}

# For git's completion, which has split the line at the usual breaks: take it again without those of ours.
_git_convosync() {
  local cur prev words cword i
  _get_comp_words_by_ref -n =:@ cur prev words cword
  for ((i = 1; i <= cword; i++)); do
    if [[ \${words[i]} == convosync ]]; then break; fi
  done
  __git_convosync_reply "$cur" "\${words[@]:i+1:cword-i}"
}

__git_convosync_program() {
  local cur prev words cword
  _get_comp_words_by_ref -n =:@ cur prev words cword
  __git_convosync_reply "$cur" "\${words[@]:1:cword}"
}

complete -F __git_convosync_program git-convosync convosync
`;

// git's completion in zsh calls _git-convosync and shows the description; both names of the program use it too.
const zsh = `#compdef git-convosync convosync
#description save a coding agent's conversation with the code
# ${mark}: zsh completion

local line value text files
local -a found
while IFS= read -r line; do
  if [[ $line == :files ]]; then files=1; continue; fi
  value=\${line%%$'\\t'*}
  text=\${line#*$'\\t'}
  found+=("\${value//:/\\\\:}\${text:+:$text}")
done < <(git-convosync __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
if [[ -n $files ]]; then
  compset -P '--*='
  _files
  return
fi
_describe -V -t values value found
`;

const fish = `# ${mark}: fish completion for git-convosync, convosync and git convosync
function __git_convosync_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l start 2
    if test "$words[1]" = git
        set -l at (contains -i -- convosync $words)
        or return
        set start (math $at + 1)
    end
    set -l rest
    if test (count $words) -ge $start
        set rest $words[$start..-1]
    end
    for line in (git-convosync __complete -- $rest "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (string replace -r '^--[^=]*=' '' -- "$current")
        else
            echo $line
        end
    end
end
complete -c git -n __fish_git_needs_command -a convosync -d "save a coding agent's conversation with the code"
complete -c git -n '__fish_git_using_command convosync' -f -k -a '(__git_convosync_complete)'
complete -c git-convosync -f -k -a '(__git_convosync_complete)'
complete -c convosync -f -k -a '(__git_convosync_complete)'
`;

export const completionScripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
