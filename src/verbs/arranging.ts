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
];
