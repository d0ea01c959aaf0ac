import type { Git } from "../git/git.ts";

/** Opens files with conflicts in the user's merge tool, or else in git's editor. */
export async function openConflicts(git: Git, paths: readonly string[]): Promise<void> {
  const tool = await git.text(["config", "merge.tool"], { okCodes: [0, 1] });
  if (tool !== "") {
    await git.foreground(["--literal-pathspecs", "mergetool", "--no-prompt", "--", ...paths]);
    return;
  }
  // As an alias git itself starts the editor, on all systems with the shell that `core.editor` is written for.
  const edit = `!f() { eval "$(git var GIT_EDITOR) \\"\\$@\\""; }; f`;
  await git.foreground(["-c", `alias.convosync-edit=${edit}`, "convosync-edit", ...paths]);
}
