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
        .option("--raw", "the agent's own bytes")
        .option("--tools", "unfold tool calls: all they were given and gave back")
        .option("--thinking", "show what the agent thought")
        .option("--from <n>", "begin with this message")
        .option("--limit <n>", "at most so many messages")
        .option("--last <n>", "only the last so many messages"),
    examples: [
      ["git convosync show 5d0c7e1a", "read it, with the commits it belongs to"],
      ["git convosync show 5d0c7e1a --last 10", "how it ended"],
      ["git convosync show 5d0c7e1a@3 --raw", "the agent's own lines, as they were at the third snapshot"],
    ],
  },
];
