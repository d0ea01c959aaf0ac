import type { Verb } from "./verb.ts";

/** Verbs that make saving happen by itself. */
export const automatic: readonly Verb[] = [
  {
    name: "hooks",
    summary: "have conversations saved whenever you commit",
    section: "Automatic",
    verbs: [
      {
        name: "install",
        summary: "put convosync into git's hooks, beside what is there",
        load: () => import("../commands/hooks-install.ts"),
        define: (command) =>
          void command.option("--agent <name...>", "put it into the hooks of these agents instead"),
        examples: [
          ["git convosync hooks install", "every commit saves the conversation that led to it"],
          ["git convosync hooks install --agent claude", "every turn does"],
        ],
        exits: { 4: "the hooks are files of the project; the lines to add are shown" },
      },
      {
        name: "uninstall",
        summary: "take it out again; every file is as it was before",
        load: () => import("../commands/hooks-uninstall.ts"),
        define: (command) =>
          void command.option("--agent <name...>", "take it out of these agents' hooks instead"),
        examples: [["git convosync hooks uninstall", "git's hooks are byte for byte what they were"]],
      },
      {
        name: "status",
        summary: "show what git really runs for each hook",
        load: () => import("../commands/hooks-status.ts"),
        examples: [["git convosync hooks status", "which file runs, and whether convosync is in it"]],
      },
    ],
  },
  {
    name: "watch",
    summary: "save conversations as agents write them, tell what other devices saved",
    section: "Automatic",
    load: () => import("../commands/watch.ts"),
    define: (command) =>
      void command
        .option("-a, --all", "every repository that is set up on this device")
        .option("--install", "have the system start it, now and at every login")
        .option("--uninstall", "have it started no more")
        .option("--status", "show what is watched, and by what")
        .option("--once", "one round, then end"),
    examples: [
      ["git convosync watch", "until Ctrl-C; a message is sealed within two seconds"],
      ["git convosync watch --all --install", "from now on, for all repositories"],
    ],
    exits: { 1: "another process watches this repository already" },
  },
  {
    name: "hook",
    summary: "what hooks start",
    hidden: true,
    load: () => import("../commands/hook.ts"),
    define: (command) =>
      void command
        .argument("<what>")
        .argument("<common-dir>", "the clone's git directory")
        .argument("[once]", "do not wait for a network that is away"),
  },
];
