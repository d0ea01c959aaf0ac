# What the hooks of coding agents run: notes that a conversation moved on and sees to it that a worker runs. Nothing is
# said, since some agents read what their hooks say to the model, and nothing is waited for.
#
#   $1 agent   $2 event   $3 what the agent tells, as JSON; on standard input when absent

[ -z "${CONVOSYNC_INSIDE:-}" ] || exit 0

node=@NODE@
cli=@CLI@

@WAKE@
# The value of a string field of the JSON in $payload; empty when it is absent or needs more than cutting out.
field() {
  v=
  case $payload in
    *"\"$1\":\""*) v=${payload#*"\"$1\":\""} ;;
    *"\"$1\": \""*) v=${payload#*"\"$1\": \""} ;;
  esac
  v=${v%%\"*}
  case $v in *\\*) v= ;; esac
}

# The first of a list of strings.
first() {
  v=
  case $payload in
    *"\"$1\":[\""*) v=${payload#*"\"$1\":[\""} ;;
    *"\"$1\": [\""*) v=${payload#*"\"$1\": [\""} ;;
  esac
  v=${v%%\"*}
  case $v in *\\*) v= ;; esac
}

record() {
  agent=$1
  event=$2
  payload=${3-}
  # What matters stands at its beginning; the rest may be a long answer.
  if [ $# -lt 3 ]; then payload=$(head -c 4096); fi
  s=
  for name in session_id sessionId thread-id conversation_id; do
    if [ -z "$s" ]; then field "$name"; s=$v; fi
  done
  if [ -z "$s" ]; then s=${GEMINI_SESSION_ID:-${CLAUDE_CODE_SESSION_ID:-}}; fi
  case $s in '' | *[!A-Za-z0-9._-]*) return 0 ;; esac
  field cwd
  # Cursor runs the hooks of its user in its own folder.
  if [ -z "$v" ]; then first workspace_roots; fi
  w=${v:-${CURSOR_PROJECT_DIR:-${CLAUDE_PROJECT_DIR:-$PWD}}}
  case $w in *'
'*) return 0 ;; /* | ?:*) ;; *) return 0 ;; esac
  p=$w
  while [ ! -e "$p/.git" ]; do
    case $p in */*) p=${p%/*} ;; *) return 0 ;; esac
  done
  c=$p/.git
  if [ -f "$c" ]; then
    IFS= read -r l <"$c"
    c=${l#gitdir: }
    case $c in /* | ?:*) ;; *) c=$p/$c ;; esac
  fi
  if [ -f "$c/commondir" ]; then
    IFS= read -r l <"$c/commondir"
    case $l in /* | ?:*) c=$l ;; *) c=$c/$l ;; esac
  fi
  d=$c/convosync
  [ -d "$d" ] || return 0
  printf '%s\n' "agent $agent $event $s $w" >>"$d/events"
  wake
}

exec 3<&0
(record "$@") <&3 >/dev/null 2>&1 3<&- &
exit 0
