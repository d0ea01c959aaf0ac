# >>> convosync >>> @EVENT@ (git convosync hooks uninstall takes this out)
[ -d "${GIT_DIR:-.git}/rebase-merge" ] || (
  c=${GIT_DIR:-.git}
  if [ -f "$c" ]; then IFS= read -r l <"$c" && c=${l#gitdir: }; fi
  set -- @EVENT@ "$c" "$@"
  if [ -f "$c/commondir" ]; then
    IFS= read -r l <"$c/commondir" && case $l in /* | ?:*) c=$l ;; *) c=$c/$l ;; esac
  fi
  if [ -r "$c/convosync/hook.sh" ]; then . "$c/convosync/hook.sh"; fi
) </dev/null || :
# <<< convosync <<<
