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
