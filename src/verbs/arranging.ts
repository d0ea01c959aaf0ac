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
    exits: { 3: "deleted here; the remote hears of it with the next sync" },
  },
];
