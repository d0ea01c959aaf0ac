import { type Command, Option } from "commander";
import type { Verb } from "./verb.ts";

const formats = ["md", "html", "json", "native", "bundle"];

function howToShow(command: Command): void {
  command
    .option("--raw", "the agent's own bytes")
    .option("--tools", "unfold tool calls: all they were given and gave back")
    .option("--thinking", "show what the agent thought")
    .option("--from <n>", "begin with this message")
    .option("--limit <n>", "at most so many messages")
    .option("--last <n>", "only the last so many messages");
}

/** Verbs that look at conversations and change nothing. */
export const reading: readonly Verb[] = [
  {
    name: "show",
    summary: "read a conversation",
    section: "Read",
    load: () => import("../commands/show.ts"),
    define: (command) =>
      howToShow(
        command.argument("<session>", "id or unique prefix; @<n> or @<commit> behind it names a snapshot"),
      ),
    examples: [
      ["git convosync show 5d0c7e1a", "read it, with the commits it belongs to"],
      ["git convosync show 5d0c7e1a --last 10", "how it ended"],
      ["git convosync show 5d0c7e1a@3 --raw", "the agent's own lines, as they were at the third snapshot"],
    ],
  },
  {
    name: "log",
    summary: "list a session's snapshots, newest first",
    section: "Read",
    load: () => import("../commands/log.ts"),
    define: (command) =>
      void command
        .argument("<session>", "id or unique prefix")
        .option("--limit <n>", "at most so many snapshots"),
    examples: [["git convosync log 5d0c7e1a", "what was saved when, where, and at which commit"]],
  },
  {
    name: "replay",
    summary: "read a conversation as it stood at a commit",
    section: "Read",
    load: () => import("../commands/replay.ts"),
    define: (command) =>
      howToShow(
        command
          .argument("[session]", "id or unique prefix; the one that belongs to the commit when absent")
          .requiredOption("--at-commit <commit>", "the commit, also when it was rewritten since"),
      ),
    examples: [
      ["git convosync replay 5d0c7e1a --at-commit HEAD~3", "what had been said when that commit was made"],
      ["git convosync replay --at-commit 30992e5", "which conversation led to this commit"],
    ],
  },
  {
    name: "diff",
    summary: "show how two sessions, or two snapshots of one, differ",
    section: "Read",
    load: () => import("../commands/diff.ts"),
    define: (command) =>
      void command
        .argument("<a>", "a session or snapshot, or two of them as a..b")
        .argument("[b]", "the other one")
        .option("--stat", "only how much differs")
        .option("--tools", "unfold tool calls")
        .option("--thinking", "show what the agent thought"),
    examples: [
      ["git convosync diff 5d0c7e1a@1 5d0c7e1a@3", "what was said between two snapshots"],
      [
        "git convosync diff 5d0c7e1a 7be0a2c4 --stat",
        "where two branches of a conversation part, and how far they went",
      ],
    ],
  },
  {
    name: "search",
    summary: "search the text of all conversations",
    section: "Read",
    load: () => import("../commands/search.ts"),
    define: (command) =>
      void command
        .argument("<text>", "what to look for; capital letters count when there are any")
        .option("-i, --ignore-case", "capital letters never count")
        .option("-E, --regex", "the text is a regular expression")
        .option("--session <id>", "only in this session")
        .option("--agent <name>", "only in sessions of this agent")
        .addOption(new Option("--role <who>", "only what was said by").choices(["user", "assistant", "tool"]))
        .option("--limit <n>", "at most so many results; 20 by default")
        .option("-a, --all", "all of them")
        .option("--fetch", "first fetch what other devices saved"),
    examples: [
      ["git convosync search 'refresh token'", "where was that talked about"],
      ["git convosync search --role user --regex '^why '", "questions"],
    ],
    exits: { 1: "nothing was found" },
  },
  {
    name: "summary",
    summary: "say what a conversation was about, what was done and what is open",
    section: "Read",
    load: () => import("../commands/summary.ts"),
    define: (command) =>
      void command
        .argument("<session>", "id or unique prefix; @<n> or @<commit> behind it names a snapshot")
        .option("--offline", "draw it from the conversation, whatever convosync.summaryCommand says"),
    examples: [
      ["git convosync summary 5d0c7e1a", "drawn from the conversation itself; nothing leaves this machine"],
      [
        "git config convosync.summaryCommand 'claude -p \"Summarise this\"'",
        "or by a command of yours: it gets the conversation as Markdown, and may send it anywhere",
      ],
    ],
  },
  {
    name: "export",
    summary: "write a conversation to a file",
    section: "Read",
    load: () => import("../commands/export.ts"),
    define: (command) =>
      void command
        .argument("<session>", "id or unique prefix; @<n> or @<commit> behind it names a snapshot")
        .option("-o, --output <file>", "where to; stdout when absent, or -")
        .addOption(
          new Option("--format <form>", "by the file's ending when absent, else md").choices(formats),
        )
        .option("--passphrase", "a bundle for whoever knows a passphrase, which is asked for")
        .option("--passphrase-file <path>", "the same, with the passphrase in this file's first line")
        .option("-f, --force", "replace the file if there is one"),
    examples: [
      ["git convosync export 5d0c7e1a -o talk.html", "one file for any browser, light and dark"],
      ["git convosync export 5d0c7e1a@3 --format md", "as it was at the third snapshot, for a pull request"],
      ["git convosync export 5d0c7e1a -o talk.convosync", "encrypted, for another clone of yours"],
    ],
    exits: { 2: "the file exists already" },
  },
  {
    name: "import",
    summary: "take in a bundle, or a transcript from elsewhere, as a session here",
    section: "Read",
    load: () => import("../commands/import.ts"),
    define: (command) =>
      void command
        .argument("<file>", "a bundle, an agent's transcript, or a folder with one and what belongs to it")
        .option("--agent <name>", "whose transcript it is, where that is not plain")
        .option("--passphrase-file <path>", "passphrase of the bundle, in the file's first line")
        .option("-n, --dry-run", "show what would be written"),
    examples: [
      [
        "git convosync import talk.convosync",
        "then the agent's own command continues it, and save stores it",
      ],
    ],
    exits: { 6: "the file is damaged, forged or unsafe; nothing was written", 7: "no key opens it" },
  },
];
