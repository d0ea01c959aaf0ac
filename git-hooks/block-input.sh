# >>> convosync >>> @EVENT@ (git convosync hooks uninstall takes this out)
convosync_input=
while IFS= read -r convosync_line; do
  convosync_input="$convosync_input$convosync_line
"
done
(
  c=${GIT_DIR:-.git}
  if [ -f "$c" ]; then IFS= read -r l <"$c" && c=${l#gitdir: }; fi
  set -- @EVENT@ "$c" "$@"
  if [ -f "$c/commondir" ]; then
    IFS= read -r l <"$c/commondir" && case $l in /* | ?:*) c=$l ;; *) c=$c/$l ;; esac
  fi
  if [ -r "$c/convosync/hook.sh" ]; then . "$c/convosync/hook.sh"; fi
) <<CONVOSYNC_INPUT || :
${convosync_input%?}
CONVOSYNC_INPUT
exec <<CONVOSYNC_INPUT
${convosync_input%?}
CONVOSYNC_INPUT
unset convosync_input convosync_line
# <<< convosync <<<
