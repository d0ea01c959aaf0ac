import type { Verb } from "./verb.ts";

/** Verbs that look at conversations and change nothing. */
export const reading: readonly Verb[] = [
  {
    name: "show",
    summary: "read a conversation",
    section: "Read",
    load: () => import("../commands/show.ts"),
    define: (command) =>
      void command
        .argument("<session>", "id or unique prefix; @<n> or @<commit> behind it names a snapshot")
        .option("--raw", "the agent's own bytes"),
    examples: [
      ["git convosync show 5d0c7e1a", "read it, with the commits it belongs to"],
      ["git convosync show 5d0c7e1a@3 --raw", "the agent's own lines, as they were at the third snapshot"],
    ],
  },
];
