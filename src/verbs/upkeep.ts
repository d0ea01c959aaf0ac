import { Argument } from "commander";
import type { Verb } from "./verb.ts";

/** Verbs that keep the set-up sound. */
export const upkeep: readonly Verb[] = [
  {
    name: "verify",
    summary: "check every object, signature and hash, here and on the remote",
    section: "Set up and keep",
    load: () => import("../commands/verify.ts"),
    define: (command) => void command.option("--local", "only what is here"),
    examples: [
      ["git convosync verify", "opens everything there is, fetching what is not here"],
      ["git convosync verify --local", "without the network"],
    ],
    exits: { 6: "something is forged, rolled back or damaged; each problem is listed" },
  },
  {
    name: "gc",
    summary: "apply retention, fold old sessions into archives, repack long ones",
    section: "Set up and keep",
    load: () => import("../commands/gc.ts"),
    define: (command) =>
      void command
        .option("-n, --dry-run", "show what retention would delete, and why")
        .option("--no-retention", "delete nothing")
        .option("-y, --yes", "do not ask before retention deletes, the first time or everything"),
    examples: [
      ["git convosync gc --dry-run", "what would go, how large it is, and why"],
      ["git convosync gc --no-retention", "fold and repack only"],
      ["git config convosync.retentionDays never", "never delete by age"],
    ],
    exits: { 3: "done here; the remote hears of it with the next sync", 4: "retention asks first: --yes" },
  },
  {
    name: "config",
    summary: "show every setting with its value and where it comes from, or set one",
    section: "Set up and keep",
    load: () => import("../commands/config.ts"),
    define: (command) =>
      void command
        .argument("[setting]", "show this one")
        .argument("[value]", "set it; one that may be given several times gets another value")
        .option("--global", "for all your repositories, not this one alone")
        .option("--unset", "take it back"),
    examples: [
      ["git convosync config", "all of them"],
      ["git convosync config retentionDays 60 --global", "keep sessions for 60 days, in all repositories"],
      ["git convosync config exclude '*.sqlite'", "save never commits such files unless they are tracked"],
      ["git convosync config remote --unset", "back to the usual choice"],
    ],
    exits: { 2: "there is no such setting, or the value does not fit" },
  },
  {
    name: "doctor",
    summary: "find and repair what is wrong with the set-up",
    section: "Set up and keep",
    load: () => import("../commands/doctor.ts"),
    define: (command) =>
      void command
        .option("--probe", "also push a ref to the remote and remove it again")
        .option("--fix", "mend what can be mended; asks first")
        .option("-y, --yes", "mend without asking"),
    examples: [
      ["git convosync doctor", "looks only"],
      ["git convosync doctor --fix", "after a crash, when git fetch or git gc fails"],
    ],
    exits: { 1: "something is wrong; each row says what to do" },
  },
  {
    name: "completion",
    summary: "print a completion script",
    section: "Set up and keep",
    load: () => import("../commands/completion.ts"),
    define: (command) =>
      void command.addArgument(new Argument("<shell>", "for this shell").choices(["bash", "zsh", "fish"])),
    examples: [
      ["git convosync setup", "installs it where your shells look"],
      ['eval "$(git convosync completion bash)"', "or in ~/.bashrc, behind what loads git's completion"],
    ],
  },
  {
    name: "setup",
    summary: "install completions and the manual page for yourself",
    section: "Set up and keep",
    load: () => import("../commands/setup.ts"),
    define: (command) =>
      void command
        .option("--uninstall", "remove them")
        .option("-n, --dry-run", "show what would be written or removed"),
    examples: [
      ["git convosync setup", "then: git convosync <TAB>, git convosync --help"],
      ["git convosync setup --uninstall", "removes what it wrote, and nothing else"],
    ],
  },
  {
    name: "__complete",
    summary: "candidates for a shell's completion",
    hidden: true,
    load: () => import("../commands/complete.ts"),
    define: (command) => void command.argument("[words...]", ""),
  },
];
