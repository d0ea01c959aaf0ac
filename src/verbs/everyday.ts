import { Option } from "commander";
import type { Verb } from "./verb.ts";

const deviceTypes = ["desktop", "laptop", "phone", "tablet", "server", "ci"];

/** An option that may be given several times. */
const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** The verbs of the main job. */
export const everyday: readonly Verb[] = [
  {
    name: "init",
    summary: "set up this repository: make a vault, or join the one it has",
    section: "Every day",
    load: () => import("../commands/init.ts"),
    define: (command) =>
      void command
        .option("--join", "join the vault this repository has, with its recovery code")
        .option("--new-vault", "make a vault for this repository alone")
        .option("--own-vault", "use this device's vault, beside those of others that the repository has")
        .option(
          "--recovery-file <path>",
          "write the new recovery code to this file, or read the code to join from it",
        )
        .option("--device-name <name>", "what this machine is called")
        .addOption(new Option("--device-type <type>", "what it is").choices(deviceTypes))
        .option("--public", "accept that anyone can read this repository's ciphertext")
        .option("--no-hooks", "install no git hooks")
        .option("--no-agent-hooks", "install no agent hooks")
        .option("-y, --yes", "take the proposed answers"),
    examples: [
      ["git convosync init", "the first machine: makes your keys, shows the recovery code once"],
      ["git convosync init --join", "every other machine: asks for the recovery code"],
      [
        "git convosync init --own-vault",
        "a colleague uses ConvoSync here; so do you, in your other projects",
      ],
      ["git convosync init --yes --recovery-file ~/code.txt", "without a terminal"],
    ],
    exits: {
      4: "the repository has a vault already, or anyone can read it",
      7: "the recovery code is wrong",
    },
  },
  {
    name: "save",
    summary: "commit the code, capture the conversation, push both",
    section: "Every day",
    load: () => import("../commands/save.ts"),
    define: (command) =>
      void command
        .argument("[message]", "commit message, and name of the snapshot")
        .option("-m, --message <text>", "the same")
        .option("--session <id>", "save this conversation")
        .option("--agent <name>", "save the newest conversation of this agent")
        .option("--all-sessions", "save every conversation of this work tree")
        .option("-b, --branch <name>", "save onto this branch, making it when there is none")
        .option("--stash", "commit nothing; carry uncommitted work inside the encrypted session")
        .option("--no-code", "save the conversation only")
        .option(
          "--include-env <names>",
          "carry these environment variables, encrypted; none is taken unasked",
          collect,
        )
        .option("-i, --interactive", "show what would be saved, and ask")
        .option("--retry", "send what waits first")
        .option("--no-push", "keep it here until the next sync")
        .option("--no-notify", "tell other devices nothing")
        .option("--raw-paths", "store paths as they are")
        .option("-n, --dry-run", "show what would be done")
        .option("-f, --force", "go on where a safety check would stop"),
    examples: [
      ['git convosync save "Implemented OAuth login"', "commit, seal the conversation, push both at once"],
      [
        'git convosync save --stash "Experimental work"',
        "uncommitted work travels with the conversation; no commit is made",
      ],
      ["git convosync save --no-code", "the conversation alone; nothing is committed"],
    ],
    exits: { 3: "saved here; what could not be pushed waits in the queue", 4: "a safety check stopped it" },
  },
  {
    name: "resume",
    summary: "bring back a session: code, conversation, context",
    section: "Every day",
    load: () => import("../commands/resume.ts"),
    define: (command) =>
      void command
        .argument("[session]", "id or unique prefix; without it a terminal asks, a script gets the newest")
        .option("-l, --list", "list the sessions there are")
        .option("--pull", "bring in all new commits of the branch (default)")
        .option("--no-pull", "bring in commits only up to the session's own")
        .option("--switch-branch", "switch to the session's branch (default)")
        .option("--stay-on-branch", "leave the code as it is")
        .option("--exact", "check out the session's very commit, detached")
        .option("--stash", "put uncommitted changes aside first")
        .option("--commit", "commit uncommitted changes first")
        .option("--merge", "join what went on separately, conversation and code")
        .option("--theirs", "go on with theirs; mine is kept")
        .option("--mine", "go on with mine; theirs is kept")
        .option("--fork", "make theirs a session of its own")
        .addOption(new Option("--code <how>", "for diverged code alone").choices(["merge", "theirs", "mine"]))
        .option("--read-only", "show the conversation; restore nothing, leave the code alone")
        .option("--launch", "start the agent when all is in place")
        .option("-n, --dry-run", "show what would be done")
        .option("-f, --force", "go on where a safety check would stop"),
    examples: [
      ["git convosync resume", "the most recently active session"],
      ["git convosync resume 5d0c7e1a --exact", "one session, at its very commit"],
      ["git convosync resume --stash --merge --launch", "no questions, and straight on with the agent"],
    ],
    exits: {
      4: "a safety check stopped it; nothing was touched",
      5: "code or conversation went on separately; nothing was touched",
    },
  },
  {
    name: "status",
    summary: "show where this clone stands",
    section: "Every day",
    load: () => import("../commands/status.ts"),
    examples: [
      ["git convosync status", "branch, conversation, what waits, the devices; no network is asked"],
      ["git convosync status --json", "the same for scripts"],
    ],
  },
  {
    name: "list",
    alias: "ls",
    summary: "list the sessions of all devices",
    section: "Every day",
    load: () => import("../commands/list.ts"),
    define: (command) =>
      void command
        .option("-a, --all", "all of them, not only the 20 most recent")
        .option("--branch <name>", "those on this branch")
        .option("--device <name>", "those last saved on this device")
        .option("--agent <name>", "those of this agent")
        .option("--search <text>", "those with this text in title, message or branch")
        .option("--limit <n>", "at most this many")
        .option("--fetch", "ask the remote first"),
    examples: [["git convosync list --branch feature/oauth --fetch", "what other devices saved on a branch"]],
  },
  {
    name: "sync",
    summary: "send what waits in the queue, fetch what other devices saved",
    section: "Every day",
    load: () => import("../commands/sync.ts"),
    define: (command) =>
      void command
        .option("--no-code", "send conversations only, leave branches alone")
        .option("--retry", "also put back what the remote lost, if it was reset"),
    examples: [
      ["git convosync sync", "after you were offline, or to see what other devices saved"],
      ["git convosync sync --no-code", "the conversations alone, when the branch has diverged"],
    ],
    exits: { 3: "something still waits in the queue", 8: "the remote cannot be reached" },
  },
];
