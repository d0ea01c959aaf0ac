import type { Verb } from "./verb.ts";

/** Verbs that change which sessions there are. */
export const arranging: readonly Verb[] = [
  {
    name: "delete",
    summary: "delete a session, here and on the remote",
    section: "Arrange",
    load: () => import("../commands/delete.ts"),
    define: (command) =>
      void command.argument("<session...>", "ids or unique prefixes").option("-y, --yes", "do not ask"),
    examples: [
      ["git convosync delete 5d0c7e1a", "for all devices; the agent's own files stay where they are"],
    ],
    exits: { 3: "deleted here; the remote hears of it with the next sync" },
  },
  {
    name: "pin",
    summary: "keep sessions from retention",
    section: "Arrange",
    load: () => import("../commands/pin.ts"),
    define: (command) => void command.argument("<session...>", "ids or unique prefixes"),
    examples: [["git convosync pin 5d0c7e1a", "gc never deletes it, on whatever device it is run"]],
    exits: { 3: "pinned here; the other devices hear of it with the next sync" },
  },
  {
    name: "unpin",
    summary: "leave sessions to retention again",
    section: "Arrange",
    load: () => import("../commands/unpin.ts"),
    define: (command) => void command.argument("<session...>", "ids or unique prefixes"),
    examples: [["git convosync unpin 5d0c7e1a", "gc may delete it again once nobody has used it for long"]],
    exits: { 3: "unpinned here; the other devices hear of it with the next sync" },
  },
  {
    name: "undo",
    summary: "take back what was last deleted, pinned, resumed or saved in this clone",
    section: "Arrange",
    load: () => import("../commands/undo.ts"),
    define: (command) =>
      void command
        .argument("[operation]", "its number; the last one that was not undone when absent")
        .option("-l, --list", "list what can be taken back"),
    examples: [
      ["git convosync undo", "says exactly what it does, and does it only where nothing can get lost"],
      ["git convosync undo --list", "what was done here, the newest first"],
      ["git convosync undo 12", "one operation"],
    ],
    exits: {
      1: "there is nothing to undo",
      3: "undone here; the remote hears of it with the next sync",
      4: "something has changed since; nothing was touched",
    },
  },
  {
    name: "template",
    summary: "keep openings of conversations under a name, and start with them",
    section: "Arrange",
    verbs: [
      {
        name: "save",
        summary: "save the first prompts of a conversation, or a text, under a name",
        load: () => import("../commands/template-save.ts"),
        define: (command) =>
          void command
            .argument("<name>", "its name: small letters, digits, dots, dashes, underscores")
            .argument("[text]", "the text itself")
            .option("--from <session>", "the first prompt of this conversation")
            .option("--prompts <n>", "so many of its first prompts, at most 20")
            .option("--file <path>", "the text in this file, - for the standard input")
            .option("--global", "for all your repositories, not this one alone"),
        examples: [
          ["git convosync template save new-component --from 5d0c7e1a", "as you began that conversation"],
          ['git convosync template save debug-endpoint "Find out why this endpoint fails:"', "a text"],
        ],
        exits: { 3: "saved here; the other devices get it with the next sync" },
      },
      {
        name: "list",
        summary: "list the templates of all devices",
        load: () => import("../commands/template-list.ts"),
        examples: [["git convosync template list", "this repository's, and yours in all repositories"]],
      },
      {
        name: "show",
        summary: "read a template",
        load: () => import("../commands/template-show.ts"),
        define: (command) => void command.argument("<template>", "its name"),
        examples: [["git convosync template show new-component", "its prompts"]],
      },
      {
        name: "start",
        summary: "print the agent's command that begins a conversation with a template, or run it",
        load: () => import("../commands/template-start.ts"),
        define: (command) =>
          void command.argument("<template>", "its name").option("--launch", "run the command here"),
        examples: [
          ["git convosync template start new-component", "the command, to be changed and run"],
          ["git convosync template start new-component --launch", "begins at once"],
        ],
      },
      {
        name: "delete",
        summary: "delete a template, for all devices",
        load: () => import("../commands/template-delete.ts"),
        define: (command) => void command.argument("<template>", "its name"),
        examples: [
          ["git convosync template delete new-component", "it is gone everywhere after the next sync"],
        ],
        exits: { 3: "deleted here; the other devices hear of it with the next sync" },
      },
    ],
  },
  {
    name: "fork",
    summary: "make a new session of one, or of one of its snapshots",
    section: "Arrange",
    load: () => import("../commands/fork.ts"),
    define: (command) =>
      void command.argument("<session>", "id or unique prefix; @<n> or @<commit> behind it names a snapshot"),
    examples: [
      ["git convosync fork 5d0c7e1a", "try another way without touching the conversation"],
      ["git convosync fork 5d0c7e1a@3", "go back to its third snapshot, in a session of its own"],
    ],
  },
  {
    name: "merge",
    summary: "join two branches of a conversation into the first",
    section: "Arrange",
    load: () => import("../commands/merge.ts"),
    define: (command) =>
      void command
        .argument("<session>", "the one that takes in the other")
        .argument("<branch>", "the other; it stays as it is")
        .option("--no-push", "keep it here until the next sync"),
    examples: [["git convosync merge 5d0c7e1a 7be0a2c4", "all lines of both, none twice"]],
    exits: { 3: "merged here; it waits in the queue", 5: "one of them went on separately on two devices" },
  },
];
