# Starts the worker unless one runs, which will see what was noted.
wake() {
  p=
  if { IFS= read -r p <"$d/worker.pid"; } 2>/dev/null && [ -n "$p" ] && kill -0 "$p" 2>/dev/null; then
    # Where it can be seen, another program that was given a dead worker's number is not taken for it.
    [ -r "/proc/$p/cmdline" ] || return 0
    { IFS= read -r line <"/proc/$p/cmdline"; } 2>/dev/null
    case $line in *convosync* | *cli.js*) return 0 ;; esac
  fi
  if [ ! -x "$node" ]; then node=$(command -v node) || node=; fi
  if [ -n "$node" ] && [ -r "$cli" ]; then
    set -- "$node" "$cli"
  elif command -v git-convosync >/dev/null; then
    set -- git-convosync
  else
    return 0
  fi
  (
    "$@" hook worker "$c" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    printf '%s\n' "$!" >"$d/worker.pid"
  )
}
