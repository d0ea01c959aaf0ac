# For git that starts hooks by its configuration: finds the repository as the block in a hook file does.
event=$1
shift
c=${GIT_DIR:-.git}
if [ -f "$c" ]; then IFS= read -r l <"$c" && c=${l#gitdir: }; fi
set -- "$event" "$c" "$@"
if [ -f "$c/commondir" ]; then
  IFS= read -r l <"$c/commondir" && case $l in /* | ?:*) c=$l ;; *) c=$c/$l ;; esac
fi
. "${0%/*}/hook.sh"
