// What a git child may see of our environment.

/**
 * The variables that tie git to one repository: `git rev-parse --local-env-vars` of git 2.39, which a hook's git
 * sets for its children (`GIT_INDEX_FILE` even relative to the work tree). Two of that list are not here,
 * `GIT_CONFIG_PARAMETERS` and `GIT_CONFIG_COUNT`: they carry the user's `git -c name=value convosync …`.
 */
export const repositoryVariables: readonly string[] = [
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_CONFIG",
  "GIT_OBJECT_DIRECTORY",
  "GIT_DIR",
  "GIT_WORK_TREE",
  "GIT_IMPLICIT_WORK_TREE",
  "GIT_GRAFT_FILE",
  "GIT_INDEX_FILE",
  "GIT_NO_REPLACE_OBJECTS",
  "GIT_REPLACE_REF_BASE",
  "GIT_PREFIX",
  "GIT_INTERNAL_SUPER_PREFIX",
  "GIT_SHALLOW_FILE",
  "GIT_COMMON_DIR",
];

/** Whether this process works for nobody in particular: a hook's worker, `watch`. */
export const isBackground = (env: NodeJS.ProcessEnv): boolean => env["CONVOSYNC_BACKGROUND"] === "1";

const SECRET = /^CONVOSYNC_(?:IDENTITY|.*PASSPHRASE)/;

/** How the pathspecs of another git are meant (`git --literal-pathspecs`, with which Magit makes every commit): ours say it themselves. */
const PATHSPECS = /^GIT_(?:LITERAL|GLOB|NOGLOB|ICASE)_PATHSPECS$/;

/** `env` without the variables of a surrounding repository (a hook's, or another program's). */
export function withoutRepository(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !repositoryVariables.includes(name)));
}

/**
 * The environment of one git child: untranslated messages (they are parsed), no lock taken by a mere read, no
 * secret of ours, and no question to anybody unless `prompt` allows it.
 *
 * `LC_ALL=C` would be shorter, but a user's hook started by our `git commit` would lose UTF-8 with it.
 * CONVOSYNC_INSIDE keeps our own hooks quiet; with CONVOSYNC_BACKGROUND nothing asks, whatever `prompt` says, since
 * there is nobody to answer, and a window that opens by itself teaches people to type passwords into it.
 */
export function childEnvironment(env: NodeJS.ProcessEnv, mayPrompt: boolean): NodeJS.ProcessEnv {
  const background = isBackground(env);
  const prompt = mayPrompt && !background;
  const child: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(env)) {
    const isLeftOut = SECRET.test(name) || PATHSPECS.test(name) || name === "LC_ALL" || name === "LANGUAGE";
    if (!isLeftOut) child[name] = value;
  }
  const { LC_ALL, LC_CTYPE, LANG } = env;
  const characters = LC_ALL || LC_CTYPE || LANG;
  return {
    ...child,
    ...(characters && { LC_CTYPE: characters }),
    LC_MESSAGES: "C",
    CONVOSYNC_INSIDE: "1",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_TERMINAL_PROMPT: prompt ? "1" : "0",
    ...(!prompt && { SSH_ASKPASS_REQUIRE: "never", GCM_INTERACTIVE: "never" }),
    // Empty, not absent: git would go on to core.askPass.
    ...(background && { GIT_ASKPASS: "" }),
  };
}
