# ConvoSync's part of a git hook. It is sourced, in a subshell, by the block that `git convosync hooks install` puts
# into a hook file, or run by git itself (hook.<name>.command). It notes what happened and sees to it that one worker
# runs; all real work happens there, later. Shell builtins only, unless refs are in a reftable; nothing said, status 0
# whatever happens: a commit must not feel it.
#
#   $1 event   $2 git directory of this work tree   $3… the hook's own arguments      $c common git directory

# Git that convosync itself runs tells it nothing new.
[ -z "${CONVOSYNC_INSIDE:-}" ] || exit 0

node=@NODE@
cli=@CLI@

event=$1
g=$2
shift 2
case $c in
  /* | ?:*) ;;
  *) c=$PWD/$c ;;
esac
d=$c/convosync

# The branch as HEAD names it, and the commit it is at; "-" where it cannot be told (packed refs). With reftable only git can
# tell: that takes 2 ms, and without it commits that follow each other at once would be one.
look() {
  ref=-
  oid=-
  IFS= read -r head <"$g/HEAD" || return 0
  case $head in
    'ref: refs/heads/.invalid')
      v=$(git rev-parse HEAD --symbolic-full-name HEAD) || return 0
      oid=${v%%'
'*}
      case $v in *'
refs/heads/'*) ref=${v#*'
refs/heads/'} ;; esac
      ;;
    'ref: refs/heads/'*)
      ref=${head#ref: refs/heads/}
      if [ -r "$c/refs/heads/$ref" ]; then IFS= read -r oid <"$c/refs/heads/$ref" || oid=-; fi
      ;;
    *) oid=$head ;;
  esac
}

# The conversation whose shell this is, as far as its agent says so.
session() {
  s=-
  if [ -n "${CLAUDE_CODE_SESSION_ID:-}" ]; then
    s=claude:$CLAUDE_CODE_SESSION_ID
  elif [ -n "${CODEX_THREAD_ID:-}" ]; then
    s=codex:$CODEX_THREAD_ID
  elif [ -n "${COPILOT_AGENT_SESSION_ID:-}" ]; then
    s=copilot:$COPILOT_AGENT_SESSION_ID
  elif [ -n "${CONVOSYNC_OPENCODE_SESSION:-}" ]; then
    s=opencode:$CONVOSYNC_OPENCODE_SESSION
  fi
  case $s in *[!A-Za-z0-9:._-]*) s=- ;; esac
}

note() {
  printf '%s\n' "$1" >>"$d/events"
}

@WAKE@
# What another device saved on this branch, from what the worker knew last; only for a person to read.
tell() {
  [ -t 3 ] && [ -r "$d/waiting" ] || return 0
  look
  while IFS='	' read -r branch text; do
    if [ "$branch" = "$ref" ]; then printf '%s\n' "$text" >&3; fi
  done <"$d/waiting"
}

{
  case $PWD in *'
'*) exit 0 ;; esac
  case $event in
    post-commit)
      # In a rebase git names all of it at the end, in post-rewrite.
      if [ -d "$g/rebase-merge" ] || [ -d "$g/rebase-apply" ]; then exit 0; fi
      look
      session
      note "commit $oid $ref $s $PWD"
      wake
      ;;
    post-rewrite)
      session
      while read -r old new _; do
        if [ -n "$new" ]; then note "rewrite $old $new $s $PWD"; fi
      done
      note "commit - - $s $PWD"
      wake
      ;;
    pre-push)
      note "push $PWD"
      wake
      ;;
    post-checkout | post-merge)
      if [ -d "$g/rebase-merge" ] || [ -d "$g/rebase-apply" ]; then exit 0; fi
      if [ "$event" = post-merge ] || [ "${3:-0}" = 1 ]; then tell; fi
      if [ "$event" = post-merge ]; then
        session
        note "commit - - $s $PWD"
        wake
      elif [ -s "$d/events" ] || [ -s "$d/events.taken" ]; then
        wake
      fi
      ;;
  esac
} 3>&2 2>/dev/null
exit 0
